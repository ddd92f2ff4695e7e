"""A dataset whose plan was made with a package that is gone: who needs it names it, and all else goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from cli.program import call
from installed import WORDS, on_path, put
from skyhaul_schemas import plugins

SHOUT = """
from skyhaul.plugins import Transformed, TransformDeclaration, TransformOptions

SHOUT = TransformDeclaration("shout", "nothing", TransformOptions, lambda options, target: Transformed)
"""

STATION = """
from skyhaul.plugins import MemorySource, SourceKind


def opened(opening):
    return MemorySource(opening.name, {"a.txt": b"one"}, timeouts=opening.timeouts)


SOURCE = SourceKind(("station",), "a station's memory", opened, lambda name, urls: ["*"], options={})
"""

GIVEN = {
    plugins.FORMATS: ("words", WORDS, "FORMAT", {"format": "words"}),
    plugins.TRANSFORMS: ("shout", SHOUT, "SHOUT", {"transforms": [{"shout": {}}]}),
    plugins.SOURCES: ("station", STATION, "SOURCE", {"url": "station://north/*"}),
}
"""Group -> (what a package adds, its module, the declaration there, what of a source names it)."""

NEEDS = ["plan", "plan --extend", "plan --amend", "estimate", "run", "replay", "replay --damaged"]
NEEDS_NOT = ["status", "verify", "verify --deep", "failures", "links", "spool"]


@pytest.fixture(scope="module", params=GIVEN)
def hauled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(group, job) of a dataset that is whole, but for a file that is broken."""
    group: str = request.param
    name, code, attribute, says = GIVEN[group]
    folder = tmp_path_factory.mktemp("hauled")
    module = f"gone_{name}"
    put(
        folder / "site",
        "acme-gone",
        "0.3.1",
        {name: f"{module}:{attribute}"},
        group=group,
        modules={module: code},
    )
    write_texts(folder / "remote", {"a.txt": "one"})
    source = {"url": f"{folder}/remote/*.txt", "via": ["far"], **says}
    job = write_job(folder, sources={"texts": source}, links={"far": {"down": "10Mbit/s"}})  # for `estimate`
    with on_path(folder / "site"):
        done = call("run", job)
    assert done.code == 0, done.err
    return group, job


def missing(group: str, line: str) -> bool:
    said = (
        f"{plugins.KINDS[group]} {GIVEN[group][0]!r} of this plan is of package acme-gone 0.3.1, which is not"
    )
    return said in line and line.rstrip().endswith("pip install acme-gone==0.3.1")


@pytest.mark.parametrize("of", ["job", "dataset"])
@pytest.mark.parametrize("command", NEEDS)
def test_who_needs_the_package_names_it_and_ends_with_2(
    hauled: tuple[str, Path], tmp_path: Path, command: str, of: str
) -> None:
    group, job = hauled
    broken = shutil.copytree(job.parent / "dataset", tmp_path / "dataset")
    (file,) = (broken / "data").rglob("*.parquet")
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])
    if of == "job":
        text = job.read_text().replace(f"dataset: {job.parent}/dataset", f"dataset: {broken}")
        (tmp_path / "job.yaml").write_text(text)
    answer = call(*command.split(), tmp_path / "job.yaml" if of == "job" else broken)
    assert answer.code == 2, answer.err
    (line,) = (line for line in answer.err.splitlines() if "error" in line)
    assert missing(group, line), line
    assert answer.out == ""


@pytest.mark.parametrize("command", NEEDS_NOT)
def test_who_does_not_need_it_goes_on(hauled: tuple[str, Path], command: str) -> None:
    _, job = hauled
    answer = call(*command.split(), job)
    assert answer.code == 0, answer.err


def test_one_of_the_same_name_in_another_package_is_named_with_both(
    hauled: tuple[str, Path], tmp_path: Path
) -> None:
    group, job = hauled
    put(tmp_path, "other", "9", {GIVEN[group][0]: "other_module:X"}, group=group)
    with on_path(tmp_path):
        for command in NEEDS:
            answer = call(*command.split(), job)
            if command == "replay --damaged":
                assert answer.code == 0  # nothing is broken here, and nothing is hauled
                continue
            assert answer.code == 2
            assert (
                "of package acme-gone 0.3.1, which is not installed; here it is of package other 9"
                in answer.err
            )


def test_a_plan_that_never_was_made_says_what_there_is(hauled: tuple[str, Path], tmp_path: Path) -> None:
    group, job = hauled
    name = GIVEN[group][0]
    (tmp_path / "job.yaml").write_text(
        job.read_text().replace(f"{job.parent}/dataset", f"{tmp_path}/dataset")
    )
    for command in ("plan", "run", "estimate"):
        answer = call(command, tmp_path / "job.yaml")
        assert answer.code == 2
        assert name in answer.err
        assert "job.yaml:" in answer.err
