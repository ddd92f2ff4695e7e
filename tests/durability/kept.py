"""What of a haul a disk holds at this moment: run in a child of the fork server, in the haul's folder."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import closing
from pathlib import Path

from skyhaul.dataset.commits import committed_numbers
from skyhaul.dataset.store import DatasetStore
from skyhaul.planning.plan_file import Plan
from skyhaul_connectors.links.ledger import Ledger
from skyhaul_connectors.transfer.journal import Journal
from skyhaul_schemas import layout


def kept() -> None:
    """Print, as JSON: `plans`, how many generations; `shards`, bytes by shard: of committed ones all, of
    others what the journal and the bytes prove; `ledger`, bytes that are counted or leased."""
    found: dict[str, object] = {"plans": 0, "shards": {}, "ledger": _ledger()}
    if Path("ds", layout.JOB).exists() and Path("ds", layout.SHARDS).exists():
        store = DatasetStore.open("ds", writable=False)
        with closing(Plan.open(store)) as plan:
            found["plans"] = len(plan.generations)
            held = _journaled(Path("spool", plan.header.first_digest[:32]))
            committed = set(committed_numbers(store))
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
            known.held.check(lambda position, length, file=file: os.pread(file, length, position))
            os.close(file)
            found[shard] = known.held.total
    return found


def _ledger() -> int:
    files = list(Path().glob("ledger.sqlite*"))
    if not Path("ledger.sqlite").exists():
        return 0
    copy = Path("tmp", "ledger")
    copy.mkdir()
    for file in files:
        shutil.copy(file, copy)
    with closing(Ledger(copy / "ledger.sqlite")) as ledger:
        total = 0
        for account, cycle in ledger._db.execute(
            "SELECT account, cycle FROM used UNION SELECT account, cycle FROM leases"
        ).fetchall():
            used = ledger.used(account, cycle)
            total += used.counted + used.leased
        return total
