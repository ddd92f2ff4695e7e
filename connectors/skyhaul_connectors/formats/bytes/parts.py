"""Stretches of an object: which are worth a request of their own, and which were read already."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_schemas.plan import Chunk, Ranges

GAP = 16 * 1024
"""Bytes: a gap of less is hauled with its neighbours, since a further request costs about as much."""


def merged(parts: Iterable[tuple[int, int]], at_most: int, gap: int = GAP) -> Ranges:
    """The parts in order, merged where they overlap or less than `gap` bytes lie between them.

    The narrowest gaps are filled until there are no more than `at_most` parts.

    Args:
        parts: (offset, length) in any order; those of no bytes are left out.
        at_most: Parts that a plan may name for a chunk.
        gap: Bytes; 1 merges only parts that touch."""
    found: list[tuple[int, int]] = []
    for offset, length in sorted(part for part in parts if part[1] > 0):
        if found and offset - found[-1][1] < gap:
            found[-1] = (found[-1][0], max(found[-1][1], offset + length))
        else:
            found.append((offset, offset + length))
    if len(found) > at_most:
        gaps = sorted(b[0] - a[1] for a, b in pairwise(found))
        # Gaps as wide as this one are filled, too, so that there may be fewer parts than allowed; the outcome
        # depends on the parts alone, and a plan must be the same each time.
        widest = gaps[len(found) - at_most - 1]
        return merged([(start, stop - start) for start, stop in found], at_most, widest + 1)
    return tuple((start, stop - start) for start, stop in found)


def fetched_ranges(chunk: Chunk, decoder: Decoder) -> list[tuple[int, int]]:
    """(offset, length) of what is fetched to decode `chunk`.

    It is what the decoder asks for, widened to whole blocks where the object has digests of them, so that
    every byte is proven."""
    wanted = decoder.segments(chunk)
    obj = chunk.object
    return wanted if obj.blocks is None else obj.blocks.widened(wanted, obj.size)


class ReadOnce:
    """A `read` that remembers what it read, since at plan time each costs a round trip.

    For one object while it is planned: a decoder's `cut` and `needed` both look at its footer. `known` is
    (offset, bytes) of what was read ahead."""

    def __init__(self, read: Callable[[int, int], bytes], *known: tuple[int, bytes]) -> None:
        self._read = read
        self._known = list(known)

    def __call__(self, offset: int, length: int) -> bytes:
        for start, data in self._known:
            if start <= offset and offset + length <= start + len(data):
                return data[offset - start : offset - start + length]
        data = self._read(offset, length)
        self._known.append((offset, data))
        return data
