"""The order of a shuffle: a function of seed and provenance, computed for all rows of a batch at once.

An object's key is the first 8 bytes (little-endian) of BLAKE2b over `source/path` (UTF-8), keyed with the
seed, under a name of its own, so that it has nothing in common with the keys that splits are dealt by. A
row's key is the output number `offset` of the SplitMix64 generator seeded with it (`skyhaul.shards.splits`).
Rows are ordered by key, then id; a shard takes an equal stretch of the keys.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.splits import UInt64s, row_hashes

_PERSON = b"skyhaul.shuffle"
_BITS = np.uint64(32)
_KEYS_KEPT = 1 << 16


@lru_cache(maxsize=_KEYS_KEPT)
def _object_key(name: str, seed: int) -> int:
    key = (seed % (1 << 64)).to_bytes(8, "little")
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8, key=key, person=_PERSON)
    return int.from_bytes(digest.digest(), "little")


def order_keys(rows: pa.RecordBatch, seed: int) -> UInt64s:
    """The key of each row, by its provenance."""
    provenance = rows.column("provenance")
    source, path, offset = (provenance.field(name) for name in ("source", "object", "offset"))
    # Once an object, and then an index for each row: hashing row by row would be Python's speed.
    names = pc.binary_join_element_wise(source, path, "/").dictionary_encode()
    keys = np.array([_object_key(name, seed) for name in names.dictionary.to_pylist()], dtype=np.uint64)
    return row_hashes(keys[names.indices.to_numpy()], offset.to_numpy())


def shards_of_keys(keys: UInt64s, shards: int) -> npt.NDArray[np.int64]:
    """The shard of each key, of `shards` (below 2**31); rising with the keys."""
    return (((keys >> _BITS) * np.uint64(shards)) >> _BITS).astype(np.int64)
