"""`skyhaul estimate` as its users meet it: text and JSON, exit codes, bad input in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.jobs import write_job
from cli.program import call, spawn

LINKS = {"sky": {"down": "80Mbit/s", "rtt": "50ms"}}


def job(folder: Path, links: dict[str, object] | None = None, **changes: object) -> Path:
    (folder / "remote").mkdir(exist_ok=True)
    for number in range(30):
        (folder / "remote" / f"{number}.txt").write_text("a line of text\n" * 20_000)
    source = {"url": f"{folder}/remote/*.txt", "format": "text", "via": ["sky"]}
    return write_job(folder, sources={"texts": source}, links=links or LINKS, **changes)


def test_text_says_when_over_what_and_what_limits(tmp_path: Path) -> None:
    answer = call("estimate", job(tmp_path), "--seeds", "5")
    assert answer.code == 0, answer.err
    for part in ("done in", "limited by", "link rate", "sky", "next: skyhaul run", "nothing is planned yet"):
        assert part in answer.out
    assert not (tmp_path / "dataset").exists()
    assert not (tmp_path / "spool").exists()


def test_json_from_another_process_is_the_same_forecast(tmp_path: Path) -> None:
    path = job(tmp_path)
    args = ("estimate", "--json", "--seeds", "5", "--start", "2026-12-01T03:00Z", path)
    here, there = call(*args), spawn(*args)
    assert (here.code, there.code) == (0, 0), there.err
    found = json.loads(here.out)
    assert found == json.loads(there.out)
    assert found["start"] == "2026-12-01T03:00:00Z"
    assert found["bytes"] == 30 * 20_000 * 15
    assert 0.9 <= found["seconds"]["p50"] <= 2.0
    assert found["done"]["p50"].startswith("2026-12-01T03:00:0")
    assert found["links"]["sky"]["payload_bytes"] == found["bytes"]


def test_a_hauled_dataset_has_nothing_left(tmp_path: Path) -> None:
    path = job(tmp_path)
    assert spawn("run", path, "--quiet").code == 0
    before = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*"))
    for target in (path, tmp_path / "dataset"):
        answer = call("estimate", target)
        assert answer.code == 0, answer.err
        assert "nothing is left to haul over a link" in answer.out
    assert sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*")) == before


def test_a_haul_that_no_contact_suffices_for_exits_75(tmp_path: Path) -> None:
    (tmp_path / "passes.csv").write_text("start,end\n0,0.5\n")
    links = {"sky": {"down": "80Mbit/s", "rtt": "50ms", "contacts": str(tmp_path / "passes.csv")}}
    answer = call("estimate", job(tmp_path, links), "--seeds", "5")
    assert answer.code == 75
    assert "never" in answer.out
    assert "hours or caps end with" in answer.out


@pytest.mark.parametrize(
    ("arguments", "links", "parts"),
    [
        (("--seeds", "0"), LINKS, ("--seeds", "0")),
        (("--seeds", "many"), LINKS, ("--seeds", "many")),
        (("--start", "tomorrow"), LINKS, ("--start", "2026-12-01T03:00Z")),
        (("--start", "9999999-01-01"), LINKS, ("--start",)),
        ((), {"sky": {"rtt": "50ms"}}, ("link sky", "nothing says how fast it is", "`preset`")),
        ((), {"sky": {"preset": "warp"}}, ("links.sky.preset", "'warp'", "leo")),
        ((), {"sky": {"contacts": "none.csv"}}, ("none.csv",)),
    ],
)
def test_bad_input_is_one_line_and_2(
    arguments: tuple[str, ...], links: dict[str, object], parts: tuple[str, ...], tmp_path: Path
) -> None:
    answer = call("estimate", job(tmp_path, links), *arguments)
    assert (answer.code, answer.out) == (2, ""), answer
    assert len(answer.err.splitlines()) == 1
    for part in parts:
        assert part in answer.err


def test_a_job_without_links_is_told_so(tmp_path: Path) -> None:
    path = write_job(tmp_path, source=str(job(tmp_path).parent / "remote" / "*.txt"))
    answer = call("estimate", path)
    assert (answer.code, answer.out) == (2, "")
    assert "no source goes over a link" in answer.err


def test_a_source_that_is_not_there_is_3_or_2_in_one_line(tmp_path: Path) -> None:
    source = {"url": f"{tmp_path}/gone/*.txt", "format": "text", "via": ["sky"]}
    answer = call("estimate", write_job(tmp_path, sources={"texts": source}, links=LINKS))
    assert answer.code in (2, 3)
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "dataset").exists()
