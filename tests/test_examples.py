"""Each example runs as it stands, from a folder of its own; servers are on loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest

from cli.program import Answer, call, spawn

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with the examples in it as a clone has them."""
    (tmp_path / "examples").symlink_to(EXAMPLES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The URL of examples/serve_folder.py over three JSONL files of 400 records each."""
    folder = tmp_path / "served"
    folder.mkdir()
    for part in range(3):
        lines = (json.dumps({"id": f"{part}-{n}", "text": f"record {n} " * 60}) + "\n" for n in range(400))
        (folder / f"part-{part}.jsonl").write_text("".join(lines))
    with subprocess.Popen(
        [sys.executable, EXAMPLES / "serve_folder.py", folder, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        match = re.fullmatch(r"export SKYHAUL_HTTP=(http://127\.0\.0\.1:\d+)\n", server.stdout.readline())
        assert match is not None
        try:
            yield match[1]
        finally:
            server.terminate()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    for n in range(20):
        (folder / "deep" / f"{n:02d}.txt").write_text(f"note {n}\n" * 50)
    return folder


def rows(dataset: Path) -> list[dict[str, object]]:
    return ds.dataset(sorted((dataset / "data").rglob("*.parquet")), format="parquet").to_table().to_pylist()


def proved(job: str, env: dict[str, str]) -> None:
    """The dataset is sound and complete, and another run finds nothing to do."""
    verified = call("verify", "--deep", job, env=env)
    assert verified.code == 0, verified
    again = call("run", "-q", job, env=env)
    assert again.code == 0, again
    assert "nothing to haul" in again.out


def trained(dataset: str, place: Path) -> Answer:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "open_for_training.py", dataset],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def test_every_example_job_is_run_here() -> None:
    text = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.yaml") if f"examples/{path.name}" not in text] == []


def test_demo_hauls_a_library_without_its_site_packages(place: Path, tmp_path: Path) -> None:
    library = tmp_path / "lib"
    real = Path(sysconfig.get_path("stdlib"))
    for name in ("json", "sqlite3", "email"):
        shutil.copytree(real / name, library / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(real / "this.py", library)
    (library / "site-packages" / "somebody").mkdir(parents=True)
    (library / "site-packages" / "somebody" / "elses.py").write_text("secret = 1\n")
    env = {"SKYHAUL_STDLIB": str(library)}
    hauled = spawn("run", "examples/demo.yaml", env=env)
    assert hauled.code == 0, hauled
    proved("examples/demo.yaml", env)
    objects = {str(row["provenance"]["object"]) for row in rows(place / "out/stdlib")}  # type: ignore[index]  # a struct
    own = [p for p in library.rglob("*.py") if "site-packages" not in p.parts and p.stat().st_size]
    expected = {str(p.relative_to(library)) for p in own}
    assert objects == expected
    opened = trained("out/stdlib", place)
    assert opened.code == 0, opened.err
    assert sum(int(n.replace(",", "")) for n in re.findall(r": ([\d,]+) rows", opened.out)) == len(expected)


def test_a_list_of_http_objects(place: Path, served: str) -> None:
    env = {"SKYHAUL_HTTP": served}
    hauled = spawn("run", "-q", "examples/http-list.yaml", env=env)
    assert hauled.code == 0, hauled
    proved("examples/http-list.yaml", env)
    found = rows(place / "out/http-list")
    assert len(found) == 1200
    assert {str(row["source_id"]) for row in found} == {f"{p}-{n}" for p in range(3) for n in range(400)}
    assert "1,200 rows" in trained("out/http-list", place).out


def test_a_contact_plan_ends_with_75_and_goes_on_or_waits(place: Path, served: str) -> None:
    env = {"SKYHAUL_HTTP": served}
    limited = spawn("run", "-q", "--max-duration", "1s", "examples/contact-plan.yaml", env=env)
    assert limited.code == 75, limited
    assert "next: skyhaul run examples/contact-plan.yaml" in limited.out
    waited = spawn("run", "-q", "--wait", "examples/contact-plan.yaml", env=env)
    assert waited.code == 0, waited
    proved("examples/contact-plan.yaml", env)
    assert len(rows(place / "out/contact-plan")) == 1200


def test_two_sources_over_two_links(place: Path, served: str, notes: Path) -> None:
    for path in (notes / "deep").iterdir():
        path.write_text(path.read_text() * 4000)  # 32 MB: leo alone would be through before geo opens
    env = {"SKYHAUL_HTTP": served, "SKYHAUL_NOTES": str(notes)}
    hauled = spawn("run", "-q", "--json", "examples/two-sources-two-links.yaml", env=env)
    assert hauled.code == 0, hauled
    assert json.loads(hauled.out)["transfer"].keys() >= {"leo", "geo"}
    proved("examples/two-sources-two-links.yaml", env)
    found = rows(place / "out/two-sources")
    by_source = [row["provenance"]["source"] for row in found]  # type: ignore[index]  # a struct
    assert (by_source.count("station"), by_source.count("notes")) == (1200, 20)


def test_capped_links_and_what_they_carried(place: Path, served: str) -> None:
    env = {"SKYHAUL_HTTP": served}
    hauled = spawn("run", "-q", "--json", "examples/capped-links.yaml", env=env)
    assert hauled.code == 0, hauled
    assert json.loads(hauled.out)["transfer"].keys() == {"leo"}, "the dear one was not needed"
    proved("examples/capped-links.yaml", env)
    leo, geo = json.loads(spawn("links", "--json", "examples/capped-links.yaml", env=env).out)
    assert leo["counted_bytes"] + leo["free_bytes"] > 0
    assert (geo["role"], geo["cost"]) == ("last-resort", 0)


def test_opening_what_is_no_dataset_says_so(place: Path) -> None:
    (place / "empty").mkdir()
    opened = trained("empty", place)
    assert opened.code == 2
    assert "no shards" in opened.err


def test_the_demo_job_needs_its_variable_and_says_so(place: Path) -> None:
    assert "SKYHAUL_STDLIB" not in os.environ
    answer = call("plan", "examples/demo.yaml")
    assert answer.code == 2
    assert "SKYHAUL_STDLIB" in answer.err
