"""A haul from a server that compares names letter by letter: everything is committed under its name, and what
is left out or empty is told by each command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cli.jobs import write_job
from cli.program import call
from faults.spelled_http import Page, SpelledServer

OBJECTS = {
    "/d/a%2Bb.txt": b"plus",
    "/d/g%2fp.txt": b"slash",
    "/d/x%282024%29/r%5B1%5D.txt": b"brackets",
    "/d/empty.txt": b"",
    "/d/shy.txt": b"not empty",
}
PAGES = {
    "/d/": '<a href="a%2Bb.txt">1</a><a href="g%2fp.txt">2</a><a href="x%282024%29/">3</a>'
    '<a href="empty.txt">4</a><a href="shy.txt">5</a><a href="/e/no.txt">6</a>',
    "/d/x%282024%29/": '<a href="r%5B1%5D.txt">1</a>',
}
NAMES = {"a+b.txt", "g%2Fp.txt", "x(2024)/r[1].txt", "empty.txt", "shy.txt"}


@pytest.fixture(scope="module")
def hauled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("spelled")
    shy = {("HEAD", "/d/shy.txt"): Page(b"", "text/plain")}
    with SpelledServer(OBJECTS, PAGES, shy) as server:
        job = write_job(folder, source=f"{server.url}/d/**/*.txt")
        planned = call("plan", "--json", job)
        assert planned.code == 0, planned.err
        yield folder, server, job, json.loads(planned.out)


def texts(folder: Path) -> dict[str, str]:
    found = {}
    for file in (folder / "dataset" / "data").rglob("*.parquet"):
        for row in pq.read_table(file).to_pylist():
            found[row["provenance"]["object"]] = row["text"]
    return found


def test_everything_is_committed_and_what_is_not_is_told(hauled: Any) -> None:
    folder, server, job, planned = hauled
    told = {"a link to another place than below its folder": 1}
    assert (planned["objects"], planned["empty"], planned["left_out"]) == (5, 1, told)
    assert list(planned["left_out_names"].values()) == [["texts/no.txt"]]
    shown = call("plan", job).out
    assert "1 object without a byte" in shown
    assert "left out of texts: 1 name: a link to another place than below its folder (no.txt)" in shown
    assert call("run", job).code == 0
    assert call("verify", "--deep", job).code == 0
    assert {text for text in texts(folder).values() if text} == {b.decode() for b in OBJECTS.values() if b}
    assert set(texts(folder)) | {"empty.txt"} == NAMES
    status = json.loads(call("status", "--json", job).out)
    assert (status["left_out"], status["objects"]["committed"]) == (told, 5)
    assert {target for _, target in server.log} == {*OBJECTS, *PAGES}


def test_what_comes_later_is_spelled_and_counted_too(hauled: Any) -> None:
    folder, server, job, _ = hauled
    server.objects["/d/t%2A.txt"] = b"star"
    server.pages["/d/"] += '<a href="t%2A.txt">7</a><a href="ftp://h.example/u.txt">8</a>'
    extended = json.loads(call("plan", "--extend", "--json", job).out)
    assert extended["counts"] == {"new planned": 1}, "the others are as they were"
    assert sum(extended["left_out"].values()) == 2
    assert call("run", job).code == 0
    assert texts(folder)["t*.txt"] == "star"
    server.objects["/d/a%2Bb.txt"] = b"another"
    amended = json.loads(call("plan", "--amend", "--json", job).out)
    assert amended["counts"] == {"changed kept": 1}
    assert (
        "left out of texts: 1 name: a link that is neither http nor https (u.txt)" in call("status", job).out
    )
