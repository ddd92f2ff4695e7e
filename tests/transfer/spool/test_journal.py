"""The journal, tested by its bytes on disk: flipped, cut, doctored, then opened."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from skyhaul_connectors.transfer.spool.extents import BLOCK, JournaledExtents, arrivals
from skyhaul_connectors.transfer.spool.journal import Journal, ShardChange
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import SpoolDamaged, StorageError

LENGTH = 3 * BLOCK
COUNTS = {"leo": TransferCounts(payload_bytes=7, wire_bytes=9, resent_bytes=2)}


def fill(path: Path, shards: int = 3) -> Journal:
    journal = Journal(path)
    for shard in range(shards):
        held = JournaledExtents(LENGTH)
        content = random.Random(shard).randbytes(LENGTH)
        arrived = [*arrivals(0, content[:BLOCK]), *arrivals(BLOCK + 10, content[BLOCK + 10 : BLOCK + 500])]
        step = held.take(arrived, lambda at, n, c=content: c[at : at + n])
        journal.commit([ShardChange(shard, (f"layout{shard}", LENGTH), [step.change], COUNTS)])
    return journal


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    fill(tmp_path / "j").close()
    journal = Journal(tmp_path / "j")
    known = journal.load(1)
    assert known is not None
    assert (known.layout, known.length, known.counts) == ("layout1", LENGTH, COUNTS)
    assert known.extents.stretches() == [(0, BLOCK), (BLOCK + 10, BLOCK + 500)]
    assert journal.shards() == dict.fromkeys(range(3), BLOCK + 490)
    assert journal.load(9) is None
    journal.close()


def test_a_commit_holds_wholly_or_not_at_all(tmp_path: Path) -> None:
    journal = fill(tmp_path / "j")
    impossible = ShardChange(2, counts={"leo": None})  # type: ignore[dict-item]  # fails while applied
    with pytest.raises(AttributeError):
        journal.commit([ShardChange(1, forget=True), impossible])
    assert journal.load(1) is not None
    journal.close()


def test_a_torn_tail_of_the_log_is_cut_and_the_rest_holds(tmp_path: Path) -> None:
    source = tmp_path / "j"
    journal = fill(source, shards=40)
    size = os.path.getsize(f"{source}-wal")
    for cut in random.Random(5).sample(range(size), 25):
        copy = tmp_path / "copy"
        for suffix in ("", "-wal"):
            shutil.copy(f"{source}{suffix}", f"{copy}{suffix}")
        os.truncate(f"{copy}-wal", cut)
        Path(f"{copy}-shm").unlink(missing_ok=True)
        torn = Journal(copy)
        kept = torn.shards()
        assert list(kept) == list(range(len(kept))), "a prefix of the commits"
        for shard in kept:
            known = torn.load(shard)
            assert known is not None
            assert known.counts == COUNTS
        torn.close()
    journal.close()


def test_a_flipped_byte_is_either_harmless_or_said_loudly(tmp_path: Path) -> None:
    """Claims about bytes are held against the bytes later, so they may differ; nothing else may."""
    source = tmp_path / "j"
    fill(source, shards=6).close()
    sound = source.read_bytes()
    draw = random.Random(11)
    loud = 0
    for _ in range(300):
        flipped = bytearray(sound)
        flipped[draw.randrange(len(flipped))] ^= 1 << draw.randrange(8)
        copy = tmp_path / "copy"
        copy.write_bytes(flipped)
        try:
            journal = Journal(copy)
        except (SpoolDamaged, StorageError):
            loud += 1
            continue
        try:
            for shard in journal.shards():
                known = journal.load(shard)
                assert known is not None
                assert known.counts in (COUNTS, {}), "counts are never silently others"
                assert known.length == LENGTH
                assert known.layout == f"layout{shard}"
        except (SpoolDamaged, StorageError):
            loud += 1
        finally:
            journal.close()
            for suffix in ("-wal", "-shm"):
                Path(f"{copy}{suffix}").unlink(missing_ok=True)
    assert loud >= 10, "the flips hit something"


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE extents SET stop = {LENGTH + 1} WHERE shard = 1",
        "UPDATE extents SET start = start - 20 WHERE shard = 1",
        f"UPDATE extents SET start = 5, stop = 9 WHERE shard = 1 -- inside block 0, of {BLOCK}",
        "UPDATE extents SET digest = x'00' WHERE shard = 1",
        "UPDATE extents SET stop = 'many' WHERE shard = 1",
        "UPDATE blocks SET block = 7 WHERE shard = 1",
        "UPDATE blocks SET digest = 'none' WHERE shard = 1",
        "UPDATE counts SET payload = payload + 1 WHERE shard = 1",
        "UPDATE shards SET length = length + 1 WHERE shard = 1",
        "UPDATE shards SET layout = 'other' WHERE shard = 1",
        "DELETE FROM shards WHERE shard = 1",
        "DROP TABLE blocks",
        "PRAGMA user_version = 99",
    ],
)
def test_rows_that_do_not_add_up_are_damage(tmp_path: Path, statement: str) -> None:
    fill(tmp_path / "j").close()
    db = sqlite3.connect(tmp_path / "j")
    db.execute(statement)
    db.commit()
    db.close()
    with pytest.raises(SpoolDamaged, match="remove the folder"):
        Journal(tmp_path / "j").load(1)


def test_a_file_that_is_no_journal_is_damage(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"not a database" * 100)
    with pytest.raises(SpoolDamaged):
        Journal(tmp_path / "j")


def test_an_empty_file_is_a_start_that_was_interrupted(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"")
    assert Journal(tmp_path / "j").shards() == {}


def test_a_journal_that_cannot_be_opened_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="missing"):
        Journal(tmp_path / "missing" / "j")
