"""What a shard's decoders passed over, counted by reason."""

from __future__ import annotations

from collections.abc import Sequence

from skyhaul_connectors.formats.protocol import Decoded, Decoder
from skyhaul_connectors.formats.records.joining import joining
from skyhaul_schemas.commit import Place
from skyhaul_schemas.plan import Chunk
from skyhaul_schemas.records import EMPTY_OBJECT


class PassedOverCounts:
    """Counts what decoders pass over; it is told of their steps in the shard's order.

    An object of no bytes of which its decoder says nothing counts as passed over, whatever the format; but
    not one that only adds to others, for it makes no record when it is full either."""

    def __init__(self) -> None:
        self.count = 0
        self.by_reason: dict[str, int] = {}
        self.first: Place | None = None
        self._chunks: Sequence[Chunk] = ()
        self._silent: set[int] = set()

    def begin(self, decoder: Decoder, chunks: Sequence[Chunk]) -> None:
        """Begin the chunks that are decoded together next."""
        joins = joining(decoder)
        self._chunks = chunks
        self._silent = {
            place
            for place, chunk in enumerate(chunks)
            if not chunk.object.size and not (joins is not None and joins.adds(chunk.object.path))
        }

    def add(self, place: int, step: Decoded) -> None:
        """Count a step of the chunk at `place` among those that were begun."""
        if self._silent and (step.batch.num_rows or step.rejects or step.passed_over):
            self._silent.discard(place)
        for passed in step.passed_over:
            self._count(place, passed.offset, passed.reason, passed.count)

    def end(self) -> None:
        """End the chunks; count the empty objects of which no step said anything."""
        for place in sorted(self._silent):
            self._count(place, 0, EMPTY_OBJECT, 1)
        self._silent = set()

    def _count(self, place: int, offset: int, reason: str, count: int) -> None:
        self.count += count
        self.by_reason[reason] = self.by_reason.get(reason, 0) + count
        # One place is enough for people to look at, and a commit record stays small.
        if self.first is None:
            self.first = Place(object=self._chunks[place].object.path, offset=offset, reason=reason)
