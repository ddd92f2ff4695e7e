"""A hostile server, row by row of the fault catalogue: never a wrong byte in a committed shard, and exit 0
only where the right bytes were had after all. Whole hauls through `haul()`, in process for speed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pytest
from tests.faults.hostile_http import HostileServer
from tests.faults.http_faults import HttpFault

from dataset.standing_of import failures
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.make_plan import make_plan
from skyhaul.verification import verify_dataset
from skyhaul_schemas.job.file import LoadedJob, parse_job

BODY = b"".join(hashlib.sha256(i.to_bytes(4, "big")).digest() for i in range(20_000))
"""640 kB that no two stretches of are alike."""
OTHER = b"another object, which nothing happens to"

HEALS = {
    "reset": HttpFault("reset", after=5000),
    "drop": HttpFault("drop", after=5000),
    "close": HttpFault("close"),
    "close-unannounced": HttpFault("close-unannounced"),
    "busy": HttpFault("busy", seconds=1),
    "busy-date": HttpFault("busy-date", seconds=1),
    "too-many": HttpFault("too-many", seconds=1),
    "status-500": HttpFault("status", status=500),
    "status-502": HttpFault("status", status=502),
    "chunked": HttpFault("chunked"),
    "interim": HttpFault("interim"),
    "until-close": HttpFault("until-close"),
    "ignore-range": HttpFault("ignore-range"),
}
"""Comes right when asked again (or is no fault)."""

ALWAYS = ("chunked", "interim", "until-close", "close", "ignore-range")

FATAL = {
    "wrong-range": HttpFault("wrong-range"),
    "wrong-total": HttpFault("wrong-total"),
    "no-content-range": HttpFault("no-content-range"),
    "416": HttpFault("416"),
    "short-length": HttpFault("short-length", after=100),
    "gzip": HttpFault("gzip"),
    "multipart": HttpFault("multipart"),
    "changed-etag": HttpFault("changed-etag"),
    "weak-etag": HttpFault("weak-etag"),
    "replace": HttpFault("replace"),
    "delete": HttpFault("delete"),
    "status-403": HttpFault("status", status=403),
    "redirect-loop": HttpFault("redirect-loop"),
    "redirect-private": HttpFault("redirect", location="http://169.254.169.254/latest/meta-data"),
    "garbage": HttpFault("garbage"),
    "endless-head": HttpFault("endless-head"),
    "two-lengths": HttpFault("two-lengths"),
    "long-length": HttpFault("long-length", after=10),
    "endless": HttpFault("endless"),
    "endless-chunked": HttpFault("endless-chunked"),
}
"""Stays wrong however often it is asked."""


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer({"d/bad.bin": BODY, "d/good.bin": OTHER}) as running:
        yield running


def job(folder: Path, server: HostileServer, checksums: str = "") -> LoadedJob:
    text = f"""
version: 1
name: hostile
dataset: {folder / "out"}
spool: {folder / "spool"}
schema: blob
patience: 4s
sources:
  d: {{url: "{server.url}d/*.bin", format: binary, max_connections: 4{checksums}}}
shards: {{target_size: 100kB, chunk_size: 16MiB}}
"""
    return parse_job(text, "hostile.yaml", os.environ)


def store_of(folder: Path) -> DatasetStore:
    return open_store(str(folder / "out"), writable=True)


def run(folder: Path, server: HostileServer) -> tuple[HaulOutcome, DatasetStore]:
    store = store_of(folder)
    return haul_on_beam(job(folder, server), store, HaulOptions()), store


def committed(folder: Path) -> dict[str, bytes]:
    if not (folder / "out" / "data").exists():
        return {}
    table = ds.dataset(folder / "out" / "data").to_table(columns=["name", "bytes"])
    return dict(zip(table["name"].to_pylist(), table["bytes"].to_pylist(), strict=True))


def planned_then(server: HostileServer, folder: Path, fault: HttpFault, *, always: bool) -> None:
    """Plan while all is well, then let the fault begin."""
    make_plan(job(folder, server), store_of(folder))
    if always:
        server.faults.always("d/bad.bin", fault)
    else:
        server.faults.on("d/bad.bin", fault, fault)


@pytest.mark.parametrize("name", HEALS)
def test_it_heals(name: str, server: HostileServer, tmp_path: Path) -> None:
    planned_then(server, tmp_path, HEALS[name], always=name in ALWAYS)
    outcome, store = run(tmp_path, server)
    assert outcome.exit_code == 0, outcome.messages
    assert committed(tmp_path) == {"bad.bin": BODY, "good.bin": OTHER}
    assert verify_dataset(store, deep=True).exit_code() == 0


@pytest.mark.parametrize("name", FATAL)
def test_it_fails_its_shard_and_no_other(name: str, server: HostileServer, tmp_path: Path) -> None:
    planned_then(server, tmp_path, FATAL[name], always=True)
    outcome, store = run(tmp_path, server)
    assert outcome.exit_code == 3, (outcome.messages, list(failures(store)))
    assert committed(tmp_path) == {"good.bin": OTHER}
    (failure,) = failures(store)
    assert failure.final
    assert "\n" not in failure.reason
    assert failure.kind not in ("ShardBug", "SkyhaulError")


@pytest.mark.parametrize(
    "fault", [HttpFault("silent"), HttpFault("stall", after=1000)], ids=["silent", "stall"]
)
def test_silence_defers(fault: HttpFault, server: HostileServer, tmp_path: Path) -> None:
    planned_then(server, tmp_path, fault, always=True)
    server.faults.always("d/good.bin", fault)
    outcome, _ = run(tmp_path, server)
    assert outcome.exit_code == 75, outcome.messages
    server.faults.always("d/bad.bin", None)
    server.faults.always("d/good.bin", None)
    again, _ = run(tmp_path, server)
    assert again.exit_code == 0, again.messages
    assert committed(tmp_path) == {"bad.bin": BODY, "good.bin": OTHER}


def test_wrong_bytes_are_caught_by_the_lists_checksum(tmp_path: Path) -> None:
    with HostileServer({"d/bad.bin": BODY, "d/good.bin": OTHER}) as server:
        sums = tmp_path / "SHA256SUMS"
        sums.write_text(
            "".join(
                f"{hashlib.sha256(data).hexdigest()}  {name}\n"
                for name, data in (("bad.bin", BODY), ("good.bin", OTHER))
            )
        )
        loaded, store = job(tmp_path, server, f', checksums: "{sums}"'), store_of(tmp_path)
        server.faults.always("d/bad.bin", HttpFault("corrupt", after=777))
        outcome = haul_on_beam(loaded, store, HaulOptions())
        assert outcome.exit_code == 3, outcome.messages
        (failure,) = failures(store)
        assert failure.kind == "ChecksumMismatch"
        assert committed(tmp_path) == {"good.bin": OTHER}
        server.faults.always("d/bad.bin", None)
        replayed = haul_on_beam(loaded, store, HaulOptions(only=frozenset({failure.shard})))
        assert replayed.exit_code == 0, replayed.messages
        assert committed(tmp_path) == {"bad.bin": BODY, "good.bin": OTHER}
        assert list(failures(store)) == []
