"""Segments: the stretches of objects that a shard needs, and where each lies in the shard's spool file."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from skyhaul_schemas.plan import PinnedObject


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes [offset, offset + length) of an object, which must be here before a chunk is decoded."""

    object: PinnedObject
    offset: int
    length: int

    @property
    def whole(self) -> bool:
        """Whether this is all of the object, so that its checksum can be verified."""
        return self.offset == 0 and self.length == self.object.size


class AddressMap:
    """A shard's segments lie one after the other in one spool file, in the order in which they are given.

    A *position* is an offset in that file. 20,000 small objects thus cost one file and few syncs. The
    map follows from the segments alone; `digest` names it, so that a journal made for other segments is
    recognised.
    """

    __slots__ = ("_bases", "digest", "segments")

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = tuple(segments)
        # Eight bytes a segment: a shard may have 20,000.
        self._bases = array("q", [0])
        name = hashlib.blake2b(digest_size=16)
        at = 0
        for segment in self.segments:
            if segment.offset < 0 or segment.length < 0:
                raise ValueError(f"segment of {segment.object.path!r} has a negative offset or length")
            if segment.offset + segment.length > segment.object.size:
                raise ValueError(f"segment of {segment.object.path!r} ends beyond its object")
            at += segment.length
            self._bases.append(at)
            o = segment.object
            # By `repr`, so that no two lists of fields give the same bytes.
            name.update(
                repr((o.source, o.path, o.size, o.version, segment.offset, segment.length)).encode(
                    "utf-8", "surrogatepass"
                )
            )
        self.digest = name.hexdigest()

    @property
    def length(self) -> int:
        """Bytes of the spool file once all is in."""
        return self._bases[-1]

    def base(self, segment: int) -> int:
        """The position of the segment's first byte."""
        return self._bases[segment]

    def stretch(self, segment: int) -> tuple[int, int]:
        """The segment's positions, [start, stop)."""
        return self._bases[segment], self._bases[segment + 1]

    def segment_at(self, position: int) -> int:
        """The segment whose bytes hold `position`, which must lie inside the file."""
        return bisect_right(self._bases, position) - 1

    def touched(self, start: int, stop: int) -> range:
        """The segments with a byte in [start, stop), which must not be empty. May hold empty segments."""
        return range(self.segment_at(start), bisect_left(self._bases, stop))

    def position(self, segment: int, offset: int) -> int:
        """Where byte `offset` of the object lies, for an offset within the segment."""
        return self._bases[segment] + offset - self.segments[segment].offset

    def object_offset(self, segment: int, position: int) -> int:
        """The object's offset of a position within the segment."""
        return position - self._bases[segment] + self.segments[segment].offset
