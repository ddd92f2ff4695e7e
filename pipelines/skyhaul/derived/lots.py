"""Input shards side by side until they fill a shard of a compacted dataset."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from skyhaul.derived.inputs import InputFile

Members = tuple[tuple[int, int], ...]
"""(input, shard) in order."""


def compacted(files: Iterable[InputFile], target_size: int) -> Iterator[Members]:
    """The input shards of each shard of the compacted dataset.

    Args:
        files: Those of the inputs, in order.
        target_size: Uncompressed bytes that a shard takes; one input shard it takes in any case."""
    members: list[tuple[int, int]] = []
    filled = 0
    for place, own in itertools.groupby(files, key=lambda file: (file.input, file.shard)):
        size = sum(file.raw_bytes for file in own)
        if members and filled + size > target_size:
            yield tuple(members)
            members, filled = [], 0
        members.append(place)
        filled += size
    if members:
        yield tuple(members)
