"""Footers are read side by side, over connections that are kept, and the plan is the same."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.faults.hostile_http import HostileServer

from planning.planned import Listing, chunks_of, job_for, pinned, plan_bytes, plan_into
from skyhaul.dataset.storage.opening import open_store
from skyhaul.planning.build import reading_ahead
from skyhaul.planning.make_plan import make_plan
from skyhaul_schemas.errors import ObjectMissing
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.plan import PinnedObject

OPTIONS = "decode: {columns: [text]}"


def parquet(rows: int = 4000) -> bytes:
    out = io.BytesIO()
    table = pa.table({"text": [f"text {n}" for n in range(rows)], "more": [f"{n:030}" for n in range(rows)]})
    pq.write_table(table, out, row_group_size=1000, compression="none", use_dictionary=False)
    return out.getvalue()


class Slow(Listing):
    """Answers a read once two are asked for (or there are no more); counts how many wait."""

    def __init__(self, raw: bytes, count: int) -> None:
        super().__init__("s", [pinned("s", f"{n:03}.parquet", len(raw)) for n in range(count)])
        self._raw = raw
        self._lock = threading.Lock()
        self._met = threading.Event()
        self.most = self._now = 0

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            if self._now >= 4:
                self._met.set()
        assert self._met.wait(30)
        with self._lock:
            self._now -= 1
        return self._raw[offset : offset + length]


def test_footers_are_read_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = parquet()
    source = Slow(raw, 100)
    job = job_for(tmp_path, format="parquet", source=OPTIONS)
    _, store = plan_into(tmp_path, job, {"s": source})
    assert 4 <= source.most <= reading_ahead.AT_ONCE
    assert len(chunks_of(store)) == 100

    monkeypatch.setattr(reading_ahead, "AT_ONCE", 1)
    one_by_one = Slow(raw, 100)
    one_by_one._met.set()
    again = tmp_path / "again"
    again.mkdir()
    _, other = plan_into(again, job_for(again, format="parquet", source=OPTIONS), {"s": one_by_one})
    assert one_by_one.most == 1
    assert plan_bytes(store) == plan_bytes(other)


def test_over_http_the_connections_are_few_and_kept(tmp_path: Path) -> None:
    raw = parquet()
    objects = {f"d/{n:03}.parquet": raw for n in range(60)}
    with HostileServer(objects) as server:
        loaded = job_for(tmp_path, format="parquet", source=OPTIONS)
        text = loaded.text.replace(f"{tmp_path}/s/*", f"{server.url}d/*.parquet")
        before = server.connections
        make_plan(parse_job(text, "job.yaml", {}), open_store(str(tmp_path / "dataset"), writable=True))
        reads = [
            served for served in server.log if served.path.endswith("parquet") and served.method == "GET"
        ]
        # One range is asked for in two halves, to see whether requests may be pipelined.
        assert len(reads) in (60, 61)
        assert len({served.path for served in reads}) == 60
        assert all(served.sent <= 64 * 1024 for served in reads)
        # Listing and pinning have connections of their own.
        assert server.connections - before <= 2 * reading_ahead.AT_ONCE + 8


def test_what_reading_ahead_raises_comes_up(tmp_path: Path) -> None:
    class Gone(Listing):
        def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
            raise ObjectMissing(f"{obj.path} is gone")

    objects = [pinned("s", f"{n}.parquet", 200_000) for n in range(200)]
    with pytest.raises(ObjectMissing, match=r"^0\.parquet is gone"):
        plan_into(tmp_path, job_for(tmp_path, format="parquet", source=OPTIONS), {"s": Gone("s", objects)})
