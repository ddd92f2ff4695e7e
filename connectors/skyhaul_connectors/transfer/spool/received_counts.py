"""What a shard has received, noted far more often than the journal commits: what a kill cost is known by it.

A commit of the journal says what is held, and how much had been received by then. A process that is killed
has received more since, up to a fifth of a second's worth, and that crosses again. So the counts are noted
beside the spool file, `<shard>.counts`, a line of JSON that is overwritten in place and never synced: a kill
leaves what the last write said. After a power cut it may be old, torn or gone; then the journal's counts
stand, and what the cut cost stays unknown. Nothing but counts depends on it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from xxhash import xxh3_64_hexdigest

from skyhaul_connectors.transfer.spool.disk import Disk
from skyhaul_schemas.commit import TransferCounts

T = TypeVar("T")

SUFFIX = ".counts"
"""Beside the spool file and not in the journal, whose every commit is a sync."""

NOTE_EVERY = 0.02
"""Seconds between two notes while bytes arrive: at most so long a stretch of arrivals is not known of after a
kill (`tests/transfer/test_kill.py`; README's figures). Chosen for that; its cost was not measured on its
own."""

Counts = Mapping[str, TransferCounts]
"""By link."""


def note_counts(disk: Disk, path: Path, layout: str, counts: Counts) -> None:
    """Overwrite the note of a shard with this layout. One that cannot be written is given up."""
    numbers = {link: (c.payload_bytes, c.wire_bytes, c.resent_bytes) for link, c in counts.items()}
    text = json.dumps([layout, numbers])
    with suppress(OSError):
        disk.note(path, f"{xxh3_64_hexdigest(text)} {text}\n".encode())


def noted_counts(path: Path, layout: str) -> dict[str, TransferCounts]:
    """What the note says, nothing where it is missing, torn or of another layout."""
    try:
        seal, _, text = path.read_bytes().decode().partition("\n")[0].partition(" ")
        if seal != xxh3_64_hexdigest(text):
            return {}
        noted, numbers = json.loads(text)
        if noted != layout:
            return {}
        return {
            link: TransferCounts(payload_bytes=payload, wire_bytes=wire, resent_bytes=resent)
            for link, (payload, wire, resent) in numbers.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def resumed_counts(journaled: Counts, noted: Counts, held: int) -> dict[str, TransferCounts]:
    """The counts to go on with where `held` bytes are in.

    Payload is what is held; whatever else had been received crosses again, so it was re-sent. What was
    received after the commit is taken off the link that brought it. What else is not held (it read wrong, or
    had left the spool) is not known by link, and comes off the links that brought most.

    Args:
        journaled: As of the last commit.
        noted: As of the last note.
        held: Bytes."""
    totals = {
        link: _later(journaled.get(link, _NOTHING), noted.get(link, _NOTHING))
        for link in sorted({*journaled, *noted})
    }
    excess = sum(total.payload_bytes for total in totals.values()) - held
    for link, total in totals.items():
        since = total.payload_bytes - journaled.get(link, _NOTHING).payload_bytes
        excess -= _move(totals, link, min(since, excess))
    for link in sorted(totals, key=lambda name: -totals[name].payload_bytes):
        excess -= _move(totals, link, min(totals[link].payload_bytes, excess))
    return totals


def _later(first: TransferCounts, second: TransferCounts) -> TransferCounts:
    # Counts only grow, as a whole: payload + re-sent says which is the later.
    received = [counts.payload_bytes + counts.resent_bytes for counts in (first, second)]
    return second if received[1] > received[0] or second.wire_bytes > first.wire_bytes else first


def _move(totals: dict[str, TransferCounts], link: str, count: int) -> int:
    if count <= 0:
        return 0
    totals[link] = totals[link].plus(TransferCounts(payload_bytes=-count, resent_bytes=count))
    return count


_NOTHING = TransferCounts()


class ReceivedNotes(Generic[T]):
    """Says when the counts of shards are to be noted while bytes arrive. On the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, note: Callable[[T], None]) -> None:
        self._loop = loop
        self._note = note
        self._dirty: dict[T, None] = {}
        self._due: asyncio.TimerHandle | None = None

    def mark(self, shard: T) -> None:
        """Have the shard's counts noted soon: bytes came."""
        self._dirty[shard] = None
        if self._due is None:
            self._due = self._loop.call_later(NOTE_EVERY, self._write)

    def forget(self, shard: T) -> None:
        """Note nothing more of the shard."""
        self._dirty.pop(shard, None)

    def cancel(self) -> None:
        """Note nothing more at all."""
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _write(self) -> None:
        self._due = None
        dirty, self._dirty = self._dirty, {}
        for shard in dirty:
            self._note(shard)
