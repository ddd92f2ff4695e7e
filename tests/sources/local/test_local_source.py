"""Local files: what is listed, how it is pinned, and what does not leave the root."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.local import source as local
from skyhaul_connectors.sources.opening import open_source, selection
from skyhaul_connectors.sources.protocol import LocalSource
from skyhaul_schemas.errors import AccessRefused, CarriageError, ObjectMissing, SourceChanged, UsageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject
from sources.recording import fetch
from virtual_time import run_virtual


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for path in ("a.txt", "b.log", "x/c.txt", "x/y/d.txt", "x/.hidden.txt", ".git/e.txt", "ü ñ.txt"):
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path * 100)
    (root / "empty.txt").touch()
    return root


def listed(*patterns: str, **spec: object) -> list[PinnedObject]:
    return list(open_source("here", SourceSpec(url=list(patterns), **spec)).listing())  # type: ignore[arg-type]  # fields of a spec


def test_globs_find_files_below_the_root_once_and_in_order(tree: Path) -> None:
    paths = [obj.path for obj in listed(f"{tree}/**/*.txt", f"{tree}/**/a.txt")]
    assert paths == ["a.txt", "empty.txt", "x/c.txt", "x/y/d.txt", "ü ñ.txt"]


def test_a_file_is_pinned_by_size_and_nanoseconds(tree: Path) -> None:
    (obj,) = listed(f"{tree}/a.txt")
    stat = (tree / "a.txt").stat()
    assert obj == PinnedObject("here", "a.txt", stat.st_size, f"mtime:{stat.st_mtime_ns}")


def test_relative_paths_start_at_the_working_directory(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    assert [obj.path for obj in listed("x/**/*.txt")] == ["c.txt", "y/d.txt"]
    assert [obj.path for obj in listed("*.log")] == ["b.log"]
    assert [obj.path for obj in listed(f"file://{tree}/x/*.txt")] == ["c.txt"]


def test_the_selection_leaves_out_the_root(tree: Path) -> None:
    assert selection(SourceSpec(url=f"{tree}/**/*.txt")) == ["**/*.txt"]
    assert selection(SourceSpec(url=["/mnt/one/x/*.a", "/mnt/one/y/*.b"])) == ["x/*.a", "y/*.b"]


def test_files_are_local_and_read_in_place(tree: Path) -> None:
    source = open_source("here", SourceSpec(url=f"{tree}/**/*.txt"))
    assert isinstance(source, LocalSource)
    for obj in source.listing():
        assert Path(source.local_path(obj)).stat().st_size == obj.size
        if obj.size:
            assert source.read_now(obj, 1, 3) == (tree / obj.path).read_bytes()[1:4]
    source.close()


def test_a_channel_reads_ranges_also_in_virtual_time(tree: Path) -> None:
    (tree / "big.txt").write_bytes(os.urandom(1_000_000))
    source = open_source("here", SourceSpec(url=f"{tree}/**/*.txt"))
    objects = [obj for obj in source.listing() if obj.size > 10]
    ranges = [(obj, 5, obj.size - 5) for obj in objects]
    for run in (asyncio.run, run_virtual):
        outcomes, events = run(fetch(source, ranges, at_once=True))  # type: ignore[operator]  # two runners
        for obj, outcome in zip(objects, outcomes, strict=True):
            assert outcome.whole == (tree / obj.path).read_bytes()[5:]
        assert events.closed_with is None
    source.close()


@pytest.mark.parametrize("how", ["content", "rewrite", "replace", "truncate", "folder"])
def test_a_changed_file_is_source_changed(tree: Path, how: str) -> None:
    source = open_source("here", SourceSpec(url=f"{tree}/a.txt"))
    (obj,) = source.listing()
    file = tree / "a.txt"
    match how:
        case "content":
            file.write_text("short")
        case "rewrite":
            file.write_bytes(file.read_bytes())
            os.utime(file, ns=(1, 1))
        case "replace":
            other = tree / "new"
            other.write_bytes(file.read_bytes())
            other.replace(file)
        case "truncate":
            os.truncate(file, 3)
        case "folder":
            file.unlink()
            file.mkdir()
    assert isinstance(source, LocalSource)
    with pytest.raises(SourceChanged):
        source.local_path(obj)
    with pytest.raises(CarriageError):
        source.read_now(obj, 0, 10)
    outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 10)]))
    assert outcomes[0].error is not None
    source.close()


def test_a_file_that_changes_while_it_is_open_is_noticed(tree: Path) -> None:
    source = open_source("here", SourceSpec(url=f"{tree}/a.txt"))
    (obj,) = source.listing()
    assert source.read_now(obj, 0, 5) == b"a.txt"
    with (tree / "a.txt").open("r+b") as file:
        file.write(b"WRONG")
    os.utime(tree / "a.txt", ns=(5, 5))
    with pytest.raises(SourceChanged):
        source.read_now(obj, 0, 5)
    source.close()


def test_a_deleted_file_is_missing(tree: Path) -> None:
    source = open_source("here", SourceSpec(url=f"{tree}/a.txt"))
    (obj,) = source.listing()
    (tree / "a.txt").unlink()
    with pytest.raises(ObjectMissing):
        source.read_now(obj, 0, 5)


def counted(*patterns: str) -> tuple[list[str], dict[str, list[str]]]:
    """The paths that a listing has, and the names that it leaves out, by reason."""
    left_out = LeftOut()
    paths = [obj.path for obj in open_source("here", SourceSpec(url=list(patterns))).listing(left_out)]
    return paths, left_out.names()


def test_links_are_followed_below_the_root_and_counted_beyond(tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (tree / "inner.txt").symlink_to("x/c.txt")
    (tree / "outer.txt").symlink_to(outside / "secret.txt")
    (tree / "broken.txt").symlink_to("nowhere")
    (tree / "folder").symlink_to(outside)
    (tree / "x" / "circle").symlink_to("..")
    (tree / "image.png").symlink_to(outside / "secret.txt")
    paths, left_out = counted(f"{tree}/**/*.txt")
    assert paths == ["a.txt", "empty.txt", "inner.txt", "x/c.txt", "x/y/d.txt", "ü ñ.txt"]
    assert left_out == {
        "a link that leaves the root": ["folder", "outer.txt"],
        "a link to nothing": ["broken.txt"],
        "a link to a folder, which ** does not follow": ["x/circle"],
        "a name that starts with a dot, which no pattern names": [".git", "x/.hidden.txt"],
    }


def test_what_no_pattern_asks_for_is_not_counted(tree: Path) -> None:
    (tree / ".env").touch()
    (tree / "link.png").symlink_to("nowhere.png")
    assert counted(f"{tree}/x/*.txt") == (
        ["c.txt"],
        {"a name that starts with a dot, which no pattern names": [".hidden.txt"]},
    )
    assert counted(f"{tree}/x/**/*.txt", f"{tree}/x/.hidden.txt") == ([".hidden.txt", "c.txt", "y/d.txt"], {})
    assert counted(f"{tree}/*.log") == (["b.log"], {})


def test_what_is_no_regular_file_is_counted_and_not_waited_for(tree: Path) -> None:
    os.mkfifo(tree / "pipe.txt")
    paths, left_out = counted(f"{tree}/*.txt")
    assert paths == ["a.txt", "empty.txt", "ü ñ.txt"]
    assert left_out == {"no regular file": ["pipe.txt"]}
    with pytest.raises(UsageError, match="not a regular file"):
        listed(f"{tree}/pipe.txt")


@pytest.mark.parametrize("name", ["limits", "s*tus"])
def test_a_file_that_states_no_bytes_and_has_some_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="states a size of 0 and has bytes"):
        listed(f"/proc/self/{name}")


def test_a_file_that_states_no_bytes_and_has_some_is_refused_from_a_list_too(tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text('{"path": "limits", "size": 0}\n')
    spec = SourceSpec(url={"list": str(tmp_path / "list.jsonl"), "root": "/proc/self"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="states a size of 0 and has bytes"):
        list(open_source("here", spec).listing())


def test_a_size_that_is_known_once_the_file_was_read_counts(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As network file systems do whose attributes are older than the file.
    real = os.stat

    def stale(path: str) -> os.stat_result:
        found = real(path)
        fields = list(found)
        fields[stat.ST_SIZE] = 0
        return os.stat_result(fields, {"st_mtime_ns": 5})

    monkeypatch.setattr(local.os, "stat", stale)
    (obj,) = listed(f"{tree}/a.txt")
    assert (obj.size, obj.version) == (500, f"mtime:{real(tree / 'a.txt').st_mtime_ns}")


def test_a_link_that_was_named_and_leaves_its_folder_is_refused(tree: Path) -> None:
    (tree / "outer.txt").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="link"):
        listed(f"{tree}/outer.txt")


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hostname", "x/../../outside.txt", "out.txt"])
def test_a_plan_that_names_what_lies_beyond_the_root_is_refused(tree: Path, path: str) -> None:
    (tree.parent / "outside.txt").write_text("secret")
    (tree / "out.txt").symlink_to(tree.parent / "outside.txt")
    source = open_source("here", SourceSpec(url=f"{tree}/**/*.txt"))
    obj = PinnedObject("here", path, 6, "mtime:1")
    assert isinstance(source, LocalSource)
    with pytest.raises(AccessRefused):
        source.local_path(obj)
    with pytest.raises(AccessRefused):
        source.read_now(obj, 0, 6)


def test_a_name_that_is_not_utf8_is_refused_in_one_printable_line(tree: Path) -> None:
    try:
        (tree / os.fsdecode(b"bad\xff.txt")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(UsageError, match="UTF-8") as caught:
        listed(f"{tree}/**/*.txt")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("none.txt", "no file"),
        ("x", "is a folder"),
        ("fifo", "not a regular file"),
        ("none/*.txt", "no folder"),
    ],
)
def test_what_cannot_be_listed_says_why(tree: Path, pattern: str, reason: str) -> None:
    os.mkfifo(tree / "fifo")
    with pytest.raises(UsageError, match=reason):
        listed(f"{tree}/{pattern}")


def test_pipes_and_sockets_are_passed_over_by_globs(tree: Path) -> None:
    os.mkfifo(tree / "fifo.txt")
    assert "fifo.txt" not in [obj.path for obj in listed(f"{tree}/*.txt")]


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so where this is root the test goes on as somebody else."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_an_unreadable_file_or_folder_is_an_error_that_names_it() -> None:
    with tempfile.TemporaryDirectory() as root:  # pytest's own folders are closed to others
        Path(root).chmod(0o755)
        (Path(root) / "x" / "closed").mkdir(parents=True)
        (Path(root) / "a.txt").write_text("x")
        (Path(root) / "a.txt").chmod(0)
        (Path(root) / "x" / "closed").chmod(0)
        with as_nobody(), pytest.raises(AccessRefused, match=r"'a\.txt' cannot be read: permission denied"):
            listed(f"{root}/*.txt")
        with as_nobody(), pytest.raises(AccessRefused, match=r"'x/closed/' cannot be read"):
            listed(f"{root}/**/*.log")


def test_checksums_are_attached_to_the_objects_they_name(tree: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((tree / "a.txt").read_bytes()).hexdigest()
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(f"{digest}  ./a.txt\n{'0' * 64} *x/not-selected.bin\n")
    by_path = {obj.path: obj.checksum for obj in listed(f"{tree}/*.txt", checksums=str(sums))}
    assert by_path == {"a.txt": f"sha256:{digest}", "empty.txt": None, "ü ñ.txt": None}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("nonsense", "line 2: not"),
        ("abc  a.txt", "line 2: not"),
        ("0" * 64 + "  gone.txt", "line 2: the source has no object 'gone.txt'"),
        ("0" * 64 + "  empty.txt", "line 2: 'empty.txt' is there twice"),
        ("0" * 64 + "  " + "x" * 20_000, "line 2: longer"),
        (b"\xff\xfe", "line 2: not UTF-8"),
    ],
)
def test_a_checksum_line_that_fits_nothing_is_refused(
    tree: Path, tmp_path: Path, line: str | bytes, reason: str
) -> None:
    sums = tmp_path / "SHA256SUMS"
    raw = line if isinstance(line, bytes) else line.encode()
    sums.write_bytes(b"0" * 64 + b"  empty.txt\n" + raw + b"\n")
    with pytest.raises(UsageError, match=reason):
        listed(f"{tree}/*.txt", checksums=str(sums))


def test_a_checksums_file_that_is_not_there_is_a_usage_error(tree: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        listed(f"{tree}/*.txt", checksums=str(tree / "none"))


def test_escaped_names_are_read_as_sha256sum_writes_them(tree: Path, tmp_path: Path) -> None:
    (tree / "back\\slash.txt").write_text("x")
    sums = tmp_path / "SHA256SUMS"
    done = subprocess.run(
        ["sha256sum", "back\\slash.txt", "a.txt"], cwd=tree, capture_output=True, check=True
    )
    sums.write_bytes(done.stdout)
    found = listed(f"{tree}/*.txt", checksums=str(sums))
    assert sum(obj.checksum is not None for obj in found) == 2


def test_a_file_that_has_more_than_it_states_is_refused_where_its_end_is_read(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = open_source("here", SourceSpec(url=f"{tree}/a.txt"))
    (obj,) = source.listing()
    real = os.fstat

    def lying(descriptor: int) -> os.stat_result:
        found = real(descriptor)
        return os.stat_result([*found[:6], 100, *found[7:]], {"st_mtime_ns": found.st_mtime_ns})

    monkeypatch.setattr(local.os, "fstat", lying)
    short = dataclasses.replace(obj, size=100)
    assert source.read_now(short, 0, 50) == (b"a.txt" * 100)[:50]
    with pytest.raises(SourceChanged, match="states 100 bytes and has more"):
        source.read_now(short, 50, 50)
    source.close()
