"""The ceiling on rejects: a shard that is mostly garbage fails early, and says so.

The verdict is a function of the shard's bytes: it is reached after each step of decoding, and the same bytes
decode in the same steps. A share counts from `ENOUGH` records on, so that a bad first line does not condemn
a good source, and at the shard's end whatever its size.
"""

from __future__ import annotations

from skyhaul_connectors.formats.protocol import Reject
from skyhaul_schemas.errors import TooManyRejects
from skyhaul_schemas.job.fieldtypes import Ceiling
from skyhaul_schemas.plan import PinnedObject, Shard
from skyhaul_schemas.printable import printable

ENOUGH = 1000
"""Records read before a share of rejects is held against the ceiling. Chosen, not measured."""


class RejectWatch:
    """Holds one shard's rejects against `ceiling`; None: there is none."""

    def __init__(self, shard: Shard, ceiling: Ceiling | None) -> None:
        self._shard = shard
        self._ceiling = ceiling
        self._first = ""

    def note(self, obj: PinnedObject, rejects: list[Reject]) -> None:
        """Keep what the first reject was, for the message."""
        if rejects and not self._first:
            first = rejects[0]
            self._first = f"{printable(obj.path)} at byte {first.offset}: {printable(first.reason)}"

    def check(self, read: int, rejected: int, *, ended: bool) -> None:
        """Raise TooManyRejects where `rejected` of `read` records are above the ceiling."""
        ceiling = self._ceiling
        if ceiling is None:
            return
        # A count needs no sample: it can only grow.
        if ceiling.count is not None and rejected > ceiling.count:
            self._fail(read, rejected, f"{ceiling.count:,}")
        if ceiling.share is not None and (ended or read >= ENOUGH) and rejected > ceiling.share * read:
            self._fail(read, rejected, f"{ceiling.share * 100:.6g}%")

    def _fail(self, read: int, rejected: int, allowed: str) -> None:
        shard = self._shard
        raise TooManyRejects(
            f"shard {shard.number} of source {shard.source}: {rejected:,} of the first {read:,} records are"
            f" rejects ({rejected / read * 100:.1f}%), `max_rejects` allows {allowed}; the first of them:"
            f" {self._first}; look at the source and at how the job reads it"
        )
