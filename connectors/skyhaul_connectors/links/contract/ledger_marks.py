"""How a ledger that was emptied, cut or replaced is noticed.

What it knew is put down in two small files, one in its own folder and one in the spool.

A mark is written after the ledger's commit, once a second at most, and never says more than the ledger did.
So a ledger that knows less than a mark has lost something. The marks are hints: where they cannot be written
or read, nothing is found, and nothing fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from skyhaul_connectors.links.contract.ledger import Used

_CAP = 1 << 20
"""Bytes of a mark that are read: whatever lies there in place of one, memory stays bounded."""


class LedgerMarks:
    """The marks of one ledger.

    Args:
        ledger: The path of the ledger.
        spool: The job's spool folder; None to do without."""

    def __init__(self, ledger: Path, spool: Path | None) -> None:
        self.paths = [ledger.with_name(f"{ledger.name}.mark")]
        if spool is not None:
            # By the ledger's path: a job that is pointed at another ledger must not find the old one's bytes
            # missing.
            which = hashlib.sha256(os.fsencode(os.path.abspath(ledger))).hexdigest()[:12]
            self.paths.append(spool / f"ledger-{which}.mark")

    def known(self, account: str, cycle: str) -> Used:
        """The most that the ledger is known to have said of the account's cycle."""
        counted = free = 0
        for path in self.paths:
            mark = _read(path).get(account)
            if isinstance(mark, dict) and mark.get("cycle") == cycle:
                counted = max(counted, _bytes(mark.get("counted")))
                free = max(free, _bytes(mark.get("free")))
        return Used(counted, free)

    def note(self, account: str, cycle: str, used: Used) -> None:
        """Put down what the ledger says now. Of each account the latest cycle is kept."""
        # Within a cycle a mark never falls: a ledger that is emptied while hauls go on would else take the
        # memory of it along a second later.
        before = self.known(account, cycle)
        mark = {
            "cycle": cycle,
            "counted": max(used.counted, before.counted),
            "free": max(used.free, before.free),
        }
        for path in self.paths:
            _write(path, {**_read(path), account: mark})


def _bytes(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        with path.open("rb") as file:
            found = json.loads(file.read(_CAP))
        if isinstance(found, dict):
            return found
    return {}


def _write(path: Path, marks: dict[str, Any]) -> None:
    # Not synced, once a second: a power cut may take the last mark, and an older one says less, never too
    # much.
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            json.dump(marks, file)
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
