"""What of a haul a disk holds at this moment: run in a child of the fork server, in the haul's folder."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

from skyhaul.dataset.commits.record_files import recorded_numbers
from skyhaul.dataset.storage.opening import open_store
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.links.contract.ledger import Ledger
from skyhaul_connectors.transfer.spool.journal import Journal
from skyhaul_schemas import layout


def kept() -> None:
    """Print, as JSON: `plans`, how many generations; `shards`, bytes by shard: of committed ones all, of
    others what the journal and the bytes prove; `booked`, bytes in the ledger; `counted`, those and what is
    leased."""
    booked, counted = _ledger()
    found: dict[str, object] = {"plans": 0, "shards": {}, "booked": booked, "counted": counted}
    if Path("ds", layout.JOB).exists() and Path("ds", layout.SHARDS).exists():
        store = open_store("ds", writable=False)
        with closing(Plan.open(store)) as plan:
            found["plans"] = len(plan.generations)
            held = _journaled(Path("spool", plan.header.first_digest[:32]))
            committed = set(recorded_numbers(store))
            found["shards"] = {
                shard.number: shard.length if shard.number in committed else held.get(shard.number, 0)
                for shard in plan.shards()
            }
    print(json.dumps(found))


def _journaled(folder: Path) -> dict[int, int]:
    if not folder.exists():
        return {}
    copy = shutil.copytree(folder, Path("tmp", "spool"))
    found: dict[int, int] = {}
    with closing(Journal(copy / "journal.sqlite")) as journal:
        for shard in journal.shards():
            known = journal.load(shard)
            assert known is not None
            path = copy / f"{shard:07d}.bytes"
            file = os.open(path, os.O_RDONLY | os.O_CREAT)
            known.extents.check(lambda position, length, file=file: os.pread(file, length, position))
            os.close(file)
            found[shard] = known.extents.total
    return found


def _ledger() -> tuple[int, int]:
    """Bytes that are booked, and those that are booked or leased."""
    files = list(Path().glob("ledger.sqlite*"))
    if not Path("ledger.sqlite").exists():
        return 0, 0
    copy = Path("tmp", "ledger")
    copy.mkdir()
    for file in files:
        shutil.copy(file, copy)
    with closing(Ledger(copy / "ledger.sqlite")) as ledger:
        booked = ledger._db.execute("SELECT total(counted) FROM used").fetchone()[0]
        leased = ledger._db.execute("SELECT total(bytes) FROM leases").fetchone()[0]
        return int(booked), int(booked + leased)
