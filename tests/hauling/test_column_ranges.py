"""Where a job wants some columns of a table, no other byte of it crosses the link, and the rest adds up."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from tests.faults.hostile_http import HostileServer

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul.hauling.config import HaulOptions
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.self_digest import digested_line

ROWS = 6_000


def table(seed: int) -> pa.Table:
    """A small column, a wide one that no job here wants, and another small one behind it."""
    rng = random.Random(seed)
    return pa.table(
        {
            "text": [f"row {n} {rng.getrandbits(64):x}" for n in range(ROWS)],
            "unwanted": [rng.randbytes(300) for _ in range(ROWS)],
            "score": [rng.random() for _ in range(ROWS)],
        }
    )


def parquet(content: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(content, out, row_group_size=1000, compression="zstd", write_page_checksum=True)
    return out.getvalue()


def arrow(content: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, content.schema) as writer:
        writer.write_table(content, 1000)
    return out.getvalue()


WRITERS = {"parquet": parquet, "arrow": arrow}


@pytest.fixture(params=sorted(WRITERS))
def region(request: pytest.FixtureRequest) -> Iterator[tuple[HostileServer, str]]:
    name = request.param
    objects = {f"d/{n}.{name}": WRITERS[name](table(n)) for n in range(2)}
    with HostileServer(objects) as server:
        yield server, name


def hauled(folder: Path, server: HostileServer, name: str, decode: str, more: str = "") -> None:
    folder.mkdir()
    loaded = parse_job(
        f"""
version: 1
name: columns
dataset: {folder / "out"}
spool: {folder / "spool"}
sources:
  s:
    url: {server.url}d/*.{name}
    format: {name}
    decode: {decode}
{more}
shards: {{target_size: 2MiB, chunk_size: 1MiB}}
""",
        "job.yaml",
        {},
    )
    store = open_store(str(folder / "out"), writable=True)
    try:
        if not Plan.exists(store):
            make_plan(loaded, store)
        outcome = haul_on_beam(loaded, store, HaulOptions())
        assert outcome.exit_code == 0, outcome.messages
        assert verify_dataset(store, deep=True).findings == []
    finally:
        store.close()


def records(dataset: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ds.dataset(dataset / "data", format="parquet").to_table().to_pylist()
    return sorted(found, key=lambda row: row["id"])


def test_only_what_the_columns_take_is_asked_for(tmp_path: Path, region: tuple[HostileServer, str]) -> None:
    server, name = region
    hauled(tmp_path / "whole", server, name, "{}")
    asked = len(server.log)
    hauled(tmp_path / "parts", server, name, "{columns: [text, score]}")
    size = sum(len(server.objects.read(path)) for path in server.objects.paths())
    wire = sum(served.sent for served in server.log[asked:])
    assert wire < 0.25 * size
    all_rows, some_rows = records(tmp_path / "whole" / "out"), records(tmp_path / "parts" / "out")
    assert len(some_rows) == 2 * ROWS
    assert [row["text"] for row in some_rows] == [row["text"] for row in all_rows]
    assert [row["id"] for row in some_rows] == [row["id"] for row in all_rows]
    assert '"score":' in some_rows[0]["metadata"]
    assert "unwanted" not in some_rows[0]["metadata"]


def test_what_is_skipped_stands_in_plan_and_commits(
    tmp_path: Path, region: tuple[HostileServer, str]
) -> None:
    server, name = region
    hauled(tmp_path / "parts", server, name, "{columns: [text, score]}")
    store = open_store(str(tmp_path / "parts" / "out"), writable=True)
    plan = Plan.open(store)
    size = sum(len(server.objects.read(path)) for path in server.objects.paths())
    taken = skipped = 0
    for shard in plan.shards():
        record = read_commit(store, shard.number)
        assert record is not None
        for chunk, source in zip(shard.chunks, record.sources, strict=True):
            assert tuple(source.ranges) == chunk.ranges
            assert tuple(source.skipped) == chunk.skipped
            taken += sum(length for _, length in source.ranges)
            skipped += sum(length for _, length in source.skipped)
    assert taken + skipped == size
    assert skipped > 0.75 * size
    counts = plan.header.by_source["s"]
    assert (counts["bytes"], counts["needed"]) == (size, taken)
    found = survey(plan, store)
    assert (found.source_bytes_committed, found.objects_committed) == (size, 2)

    path = layout.commit_file(0)
    said = json.loads((tmp_path / "parts" / "out" / path).read_text())
    said["sources"][0]["skipped"][0][1] -= 1
    (tmp_path / "parts" / "out" / path).write_bytes(digested_line(said))
    codes = [finding.code for finding in verify_dataset(store, deep=False).findings]
    assert "range-skipped" in codes
    plan.close()
    store.close()


def test_an_object_with_a_checksum_of_the_whole_is_hauled_whole(
    tmp_path: Path, region: tuple[HostileServer, str]
) -> None:
    server, name = region
    sums = "".join(
        f"{hashlib.sha256(server.objects.read(path)).hexdigest()}  {path.removeprefix('d/')}\n"
        for path in server.objects.paths()
    )
    (tmp_path / "SHA256SUMS").write_text(sums)
    checksums = f"    checksums: {tmp_path / 'SHA256SUMS'}"
    hauled(tmp_path / "whole", server, name, "{columns: [text]}", checksums)
    store = open_store(str(tmp_path / "whole" / "out"), writable=False)
    plan = Plan.open(store)
    assert all(chunk.needed is None for shard in plan.shards() for chunk in shard.chunks)
    plan.close()
    store.close()
