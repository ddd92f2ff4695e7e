"""A checksums list that was asked for is used, and where it is not, that is told with numbers."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.opening import open_source
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject

UNNAMED = "an object that no line of the checksums list names"
NO_OBJECT = "a line of the checksums list that names no object"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for path in ("a.jsonl", "b.jsonl", "sub/c.jsonl"):
        (folder / path).write_text(path)
    return folder


def listed(data: Path, lines: list[str], pattern: str = "**/*.jsonl") -> tuple[list[PinnedObject], LeftOut]:
    sums = data.parent / "SHA256SUMS"
    sums.write_text("".join(f"{line}\n" for line in lines))
    told = LeftOut()
    source = open_source("s", SourceSpec(url=f"{data}/{pattern}", checksums=str(sums)))
    return list(source.listing(told)), told


def line(path: str, named: str | None = None) -> str:
    return f"{hashlib.sha256(path.encode()).hexdigest()}  {named or path}"


def test_objects_that_no_line_names_and_lines_that_name_no_object_are_counted(data: Path) -> None:
    objects, told = listed(data, [line("a.jsonl"), line("x.csv"), line("y.csv")])
    assert [obj.path for obj in objects if obj.checksum] == ["a.jsonl"]
    assert told.unchecked.counts() == {NO_OBJECT: 2, UNNAMED: 2}
    assert told.unchecked.names() == {NO_OBJECT: ["x.csv", "y.csv"], UNNAMED: ["b.jsonl", "sub/c.jsonl"]}
    assert told.counts() == {}


def test_a_list_that_names_just_the_objects_has_nothing_to_tell(data: Path) -> None:
    _, told = listed(data, [line(path) for path in ("a.jsonl", "b.jsonl", "sub/c.jsonl")])
    assert told.unchecked.counts() == {}


@pytest.mark.parametrize(
    ("named", "twin"),
    [
        (["data/a.jsonl", "data/b.jsonl", "data/sub/c.jsonl"], "data/a.jsonl"),
        (["/srv/data/a.jsonl"], "/srv/data/a.jsonl"),
        (["other/x.jsonl", "../data/a.jsonl"], "../data/a.jsonl"),
        (["unlike.txt"], "unlike.txt"),
    ],
)
def test_a_list_that_names_none_of_the_objects_is_refused_with_the_difference(
    data: Path, named: list[str], twin: str
) -> None:
    with pytest.raises(UsageError) as caught:
        listed(data, [line(path) for path in named], "*.jsonl")
    assert "names none of the source's objects" in str(caught.value)
    assert f"it has '{twin}', the source has 'a.jsonl'" in str(caught.value)


def test_a_list_of_names_below_another_root_is_refused_with_the_difference(data: Path) -> None:
    with pytest.raises(UsageError, match=r"it has 'c.jsonl', the source has 'sub/c.jsonl'"):
        listed(data, [line("c.jsonl")], "s*/*.jsonl")


@pytest.mark.parametrize("lines", [[], ["", "# nothing"]])
def test_an_empty_list_is_refused(data: Path, lines: list[str]) -> None:
    with pytest.raises(UsageError, match="it is empty"):
        listed(data, lines)


def test_an_object_that_its_own_list_states_is_checked_and_not_counted(data: Path) -> None:
    (data.parent / "objects.jsonl").write_text(
        f'{{"path": "a.jsonl", "sha256": "{"0" * 64}"}}\n{{"path": "b.jsonl"}}\n'
    )
    (data.parent / "SHA256SUMS").write_text(f"{line('b.jsonl')}\n")
    told = LeftOut()
    spec = SourceSpec.model_validate(
        {
            "url": {"list": str(data.parent / "objects.jsonl"), "root": str(data)},
            "checksums": str(data.parent / "SHA256SUMS"),
        }
    )
    assert all(obj.checksum for obj in open_source("s", spec).listing(told))
    assert told.unchecked.counts() == {}


def test_lines_of_either_form_are_read_with_any_line_end_and_mark(data: Path) -> None:
    digits = {
        name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.jsonl", "b.jsonl", "sub/c.jsonl")
    }
    lines = [
        f"\ufeffSHA256 (a.jsonl) = {digits['a.jsonl']}\r",
        f"SHA256 (./b.jsonl) = {digits['b.jsonl'].upper()}",
        f"{digits['sub/c.jsonl'].upper()} *./sub/c.jsonl\r",
    ]
    objects, told = listed(data, lines)
    assert {obj.path: obj.checksum for obj in objects} == {k: f"sha256:{v}" for k, v in digits.items()}
    assert told.unchecked.counts() == {}


def test_an_escaped_name_is_read_in_either_form(data: Path) -> None:
    (data / "back\\slash.jsonl").write_text("x")
    digits = hashlib.sha256(b"x").hexdigest()
    for text in (f"\\{digits}  back\\\\slash.jsonl", f"\\SHA256 (back\\\\slash.jsonl) = {digits}"):
        objects, _ = listed(data, [text], "back*")
        assert [obj.checksum for obj in objects] == [f"sha256:{digits}"]


@pytest.mark.parametrize("kind", ["MD5", "SHA1", "SHA512", "SHA256"])
def test_another_digest_is_refused(data: Path, kind: str) -> None:
    with pytest.raises(UsageError, match="line 1: not"):
        listed(data, [f"{kind} (a.jsonl) = {'0' * 32}"])


def test_a_list_in_one_endless_line_is_refused_in_a_short_one(data: Path) -> None:
    with pytest.raises(UsageError, match="names none") as refused:
        listed(data, [line("z" * 9000)])
    assert len(str(refused.value)) < 1000
