"""One odd answer is asked for again, and decides nothing; what is always so is told. Whole hauls."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from tests.faults.hostile_http import HostileServer
from tests.faults.http_faults import FaultPlan, HttpFault

from dataset.standing_of import failures
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.make_plan import make_plan
from skyhaul_schemas.errors import MalformedAnswer, ObjectMissing, UsageError
from skyhaul_schemas.job.file import LoadedJob, parse_job

LARGE = random.Random(7).randbytes(3_000_000)
SMALL = {f"d/{i:02}.bin": random.Random(i).randbytes(900) for i in range(40)}

ODD = {
    "ignore-range": HttpFault("ignore-range"),
    "wrong-range": HttpFault("wrong-range"),
    "no-content-range": HttpFault("no-content-range"),
    "multipart": HttpFault("multipart"),
    "416": HttpFault("416"),
    "404": HttpFault("status", status=404),
    "412": HttpFault("status", status=412),
    "400": HttpFault("status", status=400),
    "gzip": HttpFault("gzip"),
    "garbage": HttpFault("garbage"),
    "changed-etag": HttpFault("changed-etag"),
    "endless-chunked": HttpFault("endless-chunked"),
}


class Flickering(FaultPlan):
    """A share of the answers goes wrong, by the seed."""

    def __init__(self, faults: list[HttpFault], share: float, seed: int = 3) -> None:
        super().__init__()
        self._draw = random.Random(seed)
        self._faults = faults
        self._share = share

    def next_for(self, path: str) -> HttpFault | None:
        return self._draw.choice(self._faults) if self._draw.random() < self._share else None


def job(
    folder: Path, server: HostileServer, url: str = "d/*.bin", more: str = "", shards: str = ""
) -> LoadedJob:
    text = f"""
version: 1
name: odd
dataset: {folder / "out"}
spool: {folder / "spool"}
schema: blob
patience: 20s
sources:
  d: {{url: "{server.url}{url}", format: binary, max_connections: 4{more}}}
shards: {{target_size: 50kB{shards}}}
"""
    return parse_job(text, "odd.yaml", os.environ)


def store_of(folder: Path) -> DatasetStore:
    return open_store(str(folder / "out"), writable=True)


def run(loaded: LoadedJob, folder: Path) -> tuple[HaulOutcome, DatasetStore]:
    store = store_of(folder)
    return haul_on_beam(loaded, store, HaulOptions()), store


def committed(folder: Path) -> dict[str, bytes]:
    if not (folder / "out" / "data").exists():
        return {}
    table = ds.dataset(folder / "out" / "data").to_table(columns=["name", "bytes", "part"])
    parts = sorted(
        zip(table["name"].to_pylist(), table["part"].to_pylist(), table["bytes"].to_pylist(), strict=True)
    )
    whole: dict[str, bytes] = {}
    for name, _, data in parts:
        whole[name] = whole.get(name, b"") + data
    return whole


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer({"d/large.bin": LARGE, **SMALL}) as running:
        yield running


ALL = {"large.bin": LARGE, **{path.removeprefix("d/"): data for path, data in SMALL.items()}}


@pytest.mark.parametrize(
    ("kinds", "share"),
    [
        (["ignore-range"], 1 / 3),
        (["wrong-range", "416"], 1 / 3),
        (["404"], 1 / 3),
        (["412", "changed-etag"], 1 / 3),
        (["multipart", "no-content-range"], 1 / 10),
        (["gzip", "400", "garbage"], 1 / 10),
        (["endless-chunked"], 1 / 30),
        (sorted(ODD), 1 / 4),
    ],
    ids=lambda value: "+".join(value)[:40] if isinstance(value, list) else f"{value:.2f}",
)
def test_odd_answers_now_and_then_cost_no_object(
    kinds: list[str], share: float, server: HostileServer, tmp_path: Path
) -> None:
    loaded = job(tmp_path, server)
    make_plan(loaded, store_of(tmp_path))
    server.faults = Flickering([ODD[kind] for kind in kinds], share)
    outcome, store = run(loaded, tmp_path)
    assert outcome.exit_code == 0, (outcome.messages, list(failures(store)))
    assert committed(tmp_path) == ALL


def test_planning_asks_an_odd_answer_again(server: HostileServer, tmp_path: Path) -> None:
    server.faults = Flickering([ODD["404"], HttpFault("status", status=403)], 1 / 5)
    loaded = job(tmp_path, server)
    made = make_plan(loaded, store_of(tmp_path))
    assert made.objects == len(ALL)


def test_a_server_without_ranges_sends_small_and_large_objects_whole(
    server: HostileServer, tmp_path: Path
) -> None:
    server.faults.always("*", HttpFault("ignore-range"))
    loaded = job(tmp_path, server)
    outcome, _ = run(loaded, tmp_path)
    assert outcome.exit_code == 0, outcome.messages
    assert committed(tmp_path) == ALL
    carried = outcome.run.transfer["net"]
    assert carried.wire_bytes < 1.5 * sum(map(len, ALL.values())), "a body crosses about once"


def lines_job(folder: Path, server: HostileServer, chunk_size: str) -> LoadedJob:
    """Of an object that is cut into chunks."""
    text = f"""
version: 1
name: cut
dataset: {folder / "out"}
spool: {folder / "spool"}
sources:
  d: {{url: "{server.url}d/lines.jsonl", fields: {{text: t}}, max_connections: 4}}
shards: {{target_size: 1MB, chunk_size: {chunk_size}}}
"""
    return parse_job(text, "cut.yaml", os.environ)


@pytest.fixture
def without_ranges() -> Iterator[HostileServer]:
    with HostileServer({"d/lines.jsonl": LINES}) as running:
        running.faults.always("*", HttpFault("ignore-range"))
        yield running


LINES = b"".join(b'{"t": "%06d %s"}\n' % (i, b"x" * 80) for i in range(30_000))


def test_an_object_that_is_cut_comes_out_of_whole_bodies_too(
    without_ranges: HostileServer, tmp_path: Path
) -> None:
    outcome, _ = run(lines_job(tmp_path, without_ranges, "1MB"), tmp_path)
    assert outcome.exit_code == 0, outcome.messages
    assert outcome.survey.shards == 3
    texts = ds.dataset(tmp_path / "out" / "data").to_table(columns=["text"])["text"].to_pylist()
    assert sorted(text[:6] for text in texts) == [f"{i:06d}" for i in range(30_000)]


def test_where_too_much_would_cross_in_vain_the_error_says_what_to_do(
    without_ranges: HostileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skyhaul_connectors.sources.http.response.validation.SKIPPED_CAP", 500_000)
    outcome, store = run(lines_job(tmp_path, without_ranges, "1MB"), tmp_path)
    assert outcome.exit_code == 3
    assert {f.reason.partition("set ")[2].partition(" in the")[0] for f in failures(store)} == {
        f"shards.chunk_size to {len(LINES)}B or more"
    }
    again = tmp_path / "again"
    again.mkdir()
    outcome, _ = run(lines_job(again, without_ranges, f"{len(LINES)}B"), again)
    assert outcome.exit_code == 0, outcome.messages


def test_a_server_that_refuses_head_and_knows_no_ranges_is_planned_and_hauled(tmp_path: Path) -> None:
    class NoHead(FaultPlan):
        def next_for(self, path: str) -> HttpFault | None:
            return HttpFault("ignore-range")

    with HostileServer({"d/large.bin": LARGE}) as server:
        server.faults = NoHead()
        server.refuses_head = 404
        outcome, _ = run(job(tmp_path, server, "d/large.bin"), tmp_path)
        assert outcome.exit_code == 0, outcome.messages
        assert committed(tmp_path) == {"large.bin": LARGE}


def test_if_match_that_a_server_does_not_know_decides_nothing(tmp_path: Path) -> None:
    with HostileServer({"d/large.bin": LARGE}) as server:
        server.refuses_conditions = True
        outcome, _ = run(job(tmp_path, server, "d/large.bin"), tmp_path)
        assert outcome.exit_code == 0, outcome.messages
        assert committed(tmp_path) == {"large.bin": LARGE}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (HttpFault("replace"), "SourceChanged"),
        (HttpFault("changed-etag"), "SourceChanged"),
        (HttpFault("status", status=404), "ObjectMissing"),
        (HttpFault("wrong-range"), "RangeRefused"),
    ],
    ids=["replaced", "new-etag", "deleted", "always-odd"],
)
def test_what_is_always_so_is_told_while_others_are_hauled(
    fault: HttpFault, kind: str, server: HostileServer, tmp_path: Path
) -> None:
    loaded = job(tmp_path, server)
    make_plan(loaded, store_of(tmp_path))
    server.faults.always("d/large.bin", fault)
    outcome, store = run(loaded, tmp_path)
    assert outcome.exit_code == 3
    (failure,) = failures(store)
    assert failure.kind == kind
    assert committed(tmp_path) == {name: data for name, data in ALL.items() if name != "large.bin"}


def test_bytes_of_an_answer_that_proves_odd_are_not_in_the_spool(
    server: HostileServer, tmp_path: Path
) -> None:
    """The body is right at first and too long in the end: a replay must not find it."""
    loaded = job(tmp_path, server, "d/large.bin")
    make_plan(loaded, store_of(tmp_path))
    server.faults.always("d/large.bin", HttpFault("endless-chunked"))
    outcome, store = run(loaded, tmp_path)
    assert outcome.exit_code == 3
    (failure,) = failures(store)
    server.faults.always("d/large.bin", None)
    outcome = haul_on_beam(loaded, store, HaulOptions(only=frozenset([failure.shard])))
    assert outcome.exit_code == 0, outcome.messages
    assert committed(tmp_path) == {"large.bin": LARGE}


# Stored with a Content-Encoding


TEXT = b"".join(b"line %d\n" % i for i in range(20_000))


@pytest.fixture
def stored() -> Iterator[HostileServer]:
    with HostileServer({"d/a.txt.gz": gzip.compress(TEXT, mtime=0)}) as running:
        running.content_encoding = "gzip"
        yield running


def test_what_is_stored_with_an_encoding_is_hauled_as_it_is_stored(
    stored: HostileServer, tmp_path: Path
) -> None:
    loaded = job(tmp_path, stored, "d/*.gz", more=", options: {content_encoding: stored}")
    outcome, _ = run(loaded, tmp_path)
    assert outcome.exit_code == 0, outcome.messages
    assert committed(tmp_path) == {"a.txt.gz": gzip.compress(TEXT, mtime=0)}


def test_without_the_option_the_error_names_it(stored: HostileServer, tmp_path: Path) -> None:
    with pytest.raises(MalformedAnswer, match="content_encoding: stored"):
        make_plan(job(tmp_path, stored, "d/*.gz"), store_of(tmp_path))


@pytest.mark.parametrize("value", ["gzip", "true", "[stored]", "null"])
def test_the_option_takes_one_value(value: str, stored: HostileServer, tmp_path: Path) -> None:
    loaded = job(tmp_path, stored, "d/*.gz", more=f", options: {{content_encoding: {value}}}")
    with pytest.raises(UsageError, match="content_encoding must be `stored`"):
        make_plan(loaded, store_of(tmp_path))


def test_an_object_that_is_not_there_is_told_when_it_is_planned(
    server: HostileServer, tmp_path: Path
) -> None:
    with pytest.raises(ObjectMissing):
        make_plan(job(tmp_path, server, "d/none.bin"), store_of(tmp_path))
