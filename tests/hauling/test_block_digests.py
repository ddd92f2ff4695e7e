"""Whole hauls of objects whose index has digests by block, over HTTP: a wrong block is fetched again alone,
and the dataset is the one that it would have been."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from tests.faults.hostile_http import HostileServer
from tests.faults.http_faults import HttpFault
from tests.hauling.rig import data_digests

from cli.program import call, spawn, start
from dataset.standing_of import committed_shards, failures
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.direct_read import open_proved
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_connectors.sources.catalogue.indexing import IndexSettings, index_folder
from skyhaul_schemas.block_digests import BlockDigests
from skyhaul_schemas.errors import ChecksumMismatch
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.plan import Chunk, PinnedObject

MIB = 1 << 20
SEED = 41
BLOB = "large.bin"
LINES = "lines.jsonl"


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    print(f"region seed {SEED}")
    dice = random.Random(SEED)
    root = tmp_path_factory.mktemp("region")
    (root / BLOB).write_bytes(dice.randbytes(5 * MIB + 77))
    with (root / LINES).open("w") as file:
        while file.tell() < 7 * MIB:
            # Now and then a record that is longer than any look-ahead, and than a block.
            size = 3 * MIB // 2 if dice.random() < 0.005 else dice.randrange(40, 4000)
            file.write(json.dumps({"text": dice.randbytes(size // 2).hex()}) + "\n")
    return root


@pytest.fixture
def server(region: Path) -> Iterator[HostileServer]:
    with HostileServer({path.name: path.read_bytes() for path in region.iterdir()}) as running:
        yield running


def write_index(folder: Path, region: Path, name: str, *, blocks: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "objects.jsonl"
    found = index_folder(str(region), IndexSettings((name,), blocks=blocks), lambda path, why: None)
    path.write_text("".join(f"{line.text}\n" for line in found))
    return path


def job(folder: Path, region: Path, root: str, name: str, *, blocks: bool = True, **more: Any) -> Path:
    """A job over one object, listed by an index, below `root`."""
    text: dict[str, Any] = {
        "version": 1,
        "name": "blocks",
        "dataset": str(folder / "out"),
        "spool": str(folder / "spool"),
        "schema": "blob" if name == BLOB else "document",
        "sources": {
            "s": {
                "url": {"list": str(write_index(folder, region, name, blocks=blocks)), "root": root},
                "format": "binary" if name == BLOB else "jsonl",
                "max_connections": 4,
                **({"via": ["sky"]} if "links" in more else {}),
            }
        },
        "shards": {"target_size": "2MiB", "chunk_size": "2500kB"},
        **more,
    }
    path = folder / "job.yaml"
    path.write_text(json.dumps(text))
    return path


def run(folder: Path, path: Path) -> tuple[HaulOutcome, DatasetStore]:
    store = open_store(str(folder / "out"), writable=True)
    return haul_on_beam(parse_job(path.read_text(), "job.yaml", os.environ), store, HaulOptions()), store


def sent(server: HostileServer) -> int:
    return sum(served.sent for served in server.ranges() if served.status == 206)


def resent(store: DatasetStore) -> int:
    records = [read_commit(store, shard) for shard in committed_shards(store)]
    return sum(counts.resent_bytes for record in records if record for counts in record.transfer.values())


def rows(folder: Path) -> list[dict[str, Any]]:
    table = ds.dataset(folder / "out" / "data").to_table()
    return sorted(table.to_pylist(), key=lambda row: str(row["id"]))


def chunks(store: DatasetStore) -> list[tuple[int, int]]:
    plan = Plan.open(store)
    try:
        return sorted((c.offset, c.length) for shard in plan.shards() for c in shard.chunks)
    finally:
        plan.close()


def test_a_byte_that_is_wrong_once_costs_one_block(
    server: HostileServer, region: Path, tmp_path: Path
) -> None:
    clean, hurt = tmp_path / "clean", tmp_path / "hurt"
    outcome, _ = run(clean, job(clean, region, server.url, BLOB))
    assert outcome.exit_code == 0, outcome.messages
    size = (region / BLOB).stat().st_size
    assert sent(server) == size
    path = job(hurt, region, server.url, BLOB)
    server.faults.on(BLOB, HttpFault("corrupt", after=5))
    outcome, store = run(hurt, path)
    assert outcome.exit_code == 0, outcome.messages
    assert sent(server) == size + size + MIB
    assert resent(store) == MIB
    assert data_digests(hurt / "out") == data_digests(clean / "out")
    assert verify_dataset(store, deep=True).exit_code() == 0


def test_a_block_that_is_always_wrong_fails_by_name_in_one_line(
    server: HostileServer, region: Path, tmp_path: Path
) -> None:
    path = job(tmp_path, region, server.url, BLOB)
    good = (region / BLOB).read_bytes()
    at = 3 * MIB + 99
    server.objects.replace(BLOB, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    done = spawn("run", "-q", path)
    assert done.code == 3, done.err
    (failure,) = json.loads(call("failures", "--json", path).out)
    assert failure["kind"] == "ChecksumMismatch"
    assert failure["reason"].startswith(
        f"s: block 3 of {BLOB!r} (bytes {3 * MIB} to {4 * MIB}) arrived 4 times"
    )
    told = [line for line in done.err.splitlines() if "block 3" in line]
    assert len(told) == 1
    assert BLOB in told[0]
    assert sent(server) == len(good) + 3 * MIB
    server.objects.replace(BLOB, good)
    before = sent(server)
    assert call("replay", "-q", path).code == 0
    assert sent(server) == before + MIB, "what had been checked was kept"
    assert call("verify", "--deep", path).code == 0


def test_an_object_is_cut_at_borders_of_blocks_and_its_records_stay_the_same(
    server: HostileServer, region: Path, tmp_path: Path
) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    path = job(cut, region, server.url, LINES)
    server.faults.on(LINES, None, HttpFault("corrupt", after=700), HttpFault("corrupt"))
    outcome, store = run(cut, path)
    assert outcome.exit_code == 0, outcome.messages
    found = chunks(store)
    assert len(found) > 3
    assert all(offset % MIB == 0 for offset, _ in found)
    assert resent(store)
    outcome, other = run(whole, job(whole, region, server.url, LINES, blocks=False))
    assert outcome.exit_code == 0, outcome.messages
    assert len(chunks(other)) == 1, "without digests by block nothing but the whole can be proved"
    assert rows(cut) == rows(whole)
    for dataset in (store, other):
        assert verify_dataset(dataset, deep=True).exit_code() == 0


@pytest.mark.parametrize("name", [BLOB, LINES])
def test_where_nothing_is_cut_the_files_are_the_same_with_and_without_digests(
    name: str, server: HostileServer, region: Path, tmp_path: Path
) -> None:
    with_them, without = tmp_path / "with", tmp_path / "without"
    for folder, blocks in ((with_them, True), (without, False)):
        path = job(folder, region, server.url, name, blocks=blocks, shards={"target_size": "2MiB"})
        outcome, store = run(folder, path)
        assert outcome.exit_code == 0, outcome.messages
        assert len(chunks(store)) == 1
    assert data_digests(with_them / "out") == data_digests(without / "out")


def test_an_amended_plan_has_the_digests_of_the_object_as_it_is_now(
    server: HostileServer, region: Path, tmp_path: Path
) -> None:
    path = job(tmp_path, region, server.url, LINES)
    assert call("plan", "-q", path).code == 0
    grown = tmp_path / "region"
    grown.mkdir()
    data = b'{"text": "first"}\n' + (region / LINES).read_bytes() + b'{"text": "last"}\n'
    (grown / LINES).write_bytes(data)
    server.objects.replace(LINES, data)
    write_index(tmp_path, grown, LINES)
    assert call("plan", "-q", "--amend", path).code == 0
    server.faults.on(LINES, HttpFault("corrupt", after=700))
    outcome, store = run(tmp_path, path)
    assert outcome.exit_code == 0, outcome.messages
    assert resent(store)
    assert all(offset % MIB == 0 for offset, _ in chunks(store))
    assert {"first", "last"} <= {row["text"] for row in rows(tmp_path)}
    assert verify_dataset(store, deep=True).exit_code() == 0


def test_a_part_that_is_read_in_place_is_proved_block_by_block(region: Path, tmp_path: Path) -> None:
    root = tmp_path / "here"
    root.mkdir()
    file = root / LINES
    good = (region / LINES).read_bytes()
    file.write_bytes(good)
    path = job(tmp_path, region, str(root), LINES)
    assert call("plan", "-q", path).code == 0
    pinned = file.stat()
    at = 2 * MIB + 12_345
    file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    os.utime(file, ns=(pinned.st_atime_ns, pinned.st_mtime_ns))
    outcome, store = run(tmp_path, path)
    assert outcome.exit_code == 3
    for failure in failures(store):
        assert failure.kind == "ChecksumMismatch"
        assert f"s/{LINES}: block 2 (bytes {2 * MIB} to {3 * MIB}) has not the sha256" in failure.reason
    file.write_bytes(good)
    os.utime(file, ns=(pinned.st_atime_ns, pinned.st_mtime_ns))
    assert call("replay", "-q", path).code == 0
    assert call("verify", "--deep", path).code == 0


@pytest.mark.parametrize("checksum", [None, "crc32c:00000000"])
def test_a_whole_file_whose_list_states_no_sha256_is_proved_by_its_blocks(
    tmp_path: Path, checksum: str | None
) -> None:
    data = bytes(range(250)) * 12
    digests = b"".join(hashlib.sha256(data[at : at + 1024]).digest() for at in range(0, len(data), 1024))
    blocks = BlockDigests(1024, ((0, digests),))
    chunk = Chunk(0, 0, PinnedObject("s", "x", len(data), "v", checksum, None, blocks), 0, len(data))
    file = tmp_path / "x"
    file.write_bytes(data)
    assert open_proved(chunk, str(file)).read(0, len(data)) == data
    file.write_bytes(data[:1500] + b"!" + data[1501:])
    opened = open_proved(chunk, str(file))
    assert opened.read(0, 1024) == data[:1024]
    with pytest.raises(ChecksumMismatch, match=r"s/x: block 1 \(bytes 1024 to 2048\)"):
        opened.read(0, 2000)


def test_after_a_sigkill_nothing_that_was_checked_is_fetched_again(
    server: HostileServer, region: Path, tmp_path: Path
) -> None:
    clean, killed = tmp_path / "clean", tmp_path / "killed"
    outcome, _ = run(clean, job(clean, region, server.url, BLOB))
    assert outcome.exit_code == 0, outcome.messages
    size = sent(server)
    link = {"emulate": True, "down": "32Mbit/s", "rtt": "40ms", "seed": 4}
    path = job(killed, region, server.url, BLOB, links={"sky": link})
    server.faults.on(BLOB, HttpFault("corrupt", after=5))
    assert call("plan", "-q", path).code == 0
    with start("run", "-q", path) as process:
        deadline = time.monotonic() + 60
        while sent(server) < size + 3 * MIB:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = spawn("run", "-q", path)
    assert done.code == 0, done.err
    # What was open, what came in the last quarter of a second, and the one block that was wrong.
    allowed = 4 * 2 * 128 * 1024 + 32e6 / 8 / 4 + MIB
    assert size + MIB <= sent(server) - size <= size + MIB + allowed
    assert data_digests(killed / "out") == data_digests(clean / "out")
    assert call("verify", "--deep", path).code == 0
