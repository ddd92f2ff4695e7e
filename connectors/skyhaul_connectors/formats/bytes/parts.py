"""Parts of an object: which stretches are worth a request of their own, and reads that are asked twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_schemas.plan import Chunk, Ranges

GAP = 16 * 1024
"""Bytes: a gap of less is hauled with its neighbours, since a further request costs about as much."""


def merged(parts: Iterable[tuple[int, int]], at_most: int, gap: int = GAP) -> Ranges:
    """The parts in order, with those that overlap or are less than `gap` apart as one; the narrowest gaps
    are filled until there are no more than `at_most`."""
    found: list[tuple[int, int]] = []
    for offset, length in sorted(part for part in parts if part[1] > 0):
        if found and offset - found[-1][1] < gap:
            found[-1] = (found[-1][0], max(found[-1][1], offset + length))
        else:
            found.append((offset, offset + length))
    if len(found) > at_most:
        gaps = sorted(b[0] - a[1] for a, b in pairwise(found))
        widest = gaps[len(found) - at_most - 1]
        return merged([(start, stop - start) for start, stop in found], at_most, widest + 1)
    return tuple((start, stop - start) for start, stop in found)


def fetched_ranges(chunk: Chunk, decoder: Decoder) -> list[tuple[int, int]]:
    """(offset, length) of what is fetched to decode `chunk`: what the decoder asks for, in whole blocks where
    the object has digests of them, so that every byte is proven."""
    wanted = decoder.segments(chunk)
    obj = chunk.object
    return wanted if obj.blocks is None else obj.blocks.widened(wanted, obj.size)


class ReadOnce:
    """`read` at plan time, which costs a round trip each: what was read is remembered, for one object. known:
    (offset, bytes) of what was read before."""

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
