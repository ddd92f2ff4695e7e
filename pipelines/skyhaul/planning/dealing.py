"""Chunks dealt to shards: a function of the seed, the objects and the sizes, and of nothing else.

Chunks of a source are taken in the order of a keyed hash, so that each shard is a fair sample of its
source and no shard depends on the order in which a listing came; shards are filled up to `target_size`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from skyhaul.planning.catalogue import Cut
from skyhaul_schemas.plan import Chunk, PinnedObject

CHUNKS_A_SHARD = 20_000
"""Chunks in a shard at most, however small they are."""

DEALING_VERSION = 1
"""Raised whenever equal input is dealt in another way."""


def deal_key(seed: int, obj: PinnedObject, offset: int) -> bytes:
    """BLAKE2b, keyed with the seed (8 bytes, big-endian), of source, path and offset: 16 bytes."""
    place = f"{obj.source}\0{obj.path}\0{offset}".encode()
    return hashlib.blake2b(place, digest_size=16, key=seed.to_bytes(8, "big")).digest()


def deal(cuts: Iterable[Cut], target_size: int, first: int = 0) -> Iterator[Chunk]:
    """Number `cuts`, which come by source and then by key, from shard `first` on. A shard takes chunks of one
    source while they fit into `target_size` (source bytes), but always one."""
    shard, index, filled = first - 1, 0, 0
    source: str | None = None
    for cut in cuts:
        full = filled + cut.length > target_size or index >= CHUNKS_A_SHARD
        if cut.object.source != source or (full and index):
            shard, index, filled, source = shard + 1, 0, 0, cut.object.source
        yield cut.placed(shard, index)
        index += 1
        filled += cut.length
