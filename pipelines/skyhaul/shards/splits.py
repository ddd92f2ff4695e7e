"""Which split a row belongs to: a function of its object, its offset and the job's seed alone.

An object's key is the first 8 bytes (little-endian) of BLAKE2b over `source/path` (UTF-8), keyed with the
seed as 8 bytes. A row's hash is the output number `offset` of the SplitMix64 generator seeded with that
key (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), computed for all rows
at once in 64-bit integers. A split takes the hashes below its share's sum times 2**64, splits in the order
of their names; the sums are exact fractions, so no rounding differs between machines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

# The constants of SplitMix64, as published; vectorised by index, because output i depends on seed and i
# alone.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)

UInt64s = npt.NDArray[np.uint64]


def object_key(source: str, path: str, seed: int) -> int:
    """64-bit key of one object."""
    name = f"{source}/{path}".encode()
    key = (seed % (1 << 64)).to_bytes(8, "little")
    return int.from_bytes(hashlib.blake2b(name, digest_size=8, key=key).digest(), "little")


def row_hashes(keys: UInt64s, offsets: npt.NDArray[np.int64]) -> UInt64s:
    """SplitMix64's output at index `offsets` (from 0) of the streams seeded with `keys`."""
    z: UInt64s = keys + (offsets.astype(np.uint64) + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> _S30)) * _MIX_1
    z = (z ^ (z >> _S27)) * _MIX_2
    z ^= z >> _S31
    return z


class SplitRule:
    """Deals hashes to the named splits by their shares, which add up to 1."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.names = tuple(sorted(shares))
        # Shares are floats of a job file: their exact values as fractions, and bounds as integers, are the
        # same on every machine. In the order of names, for the order of keys in a job file is nobody's
        # decision.
        bounds, total = [], Fraction(0)
        whole = sum(Fraction(shares[name]) for name in self.names)
        for name in self.names[:-1]:
            total += Fraction(shares[name]) / whole
            bounds.append(int(total * (1 << 64)))
        self._bounds = np.array(bounds, dtype=np.uint64)

    def deal(self, hashes: UInt64s) -> npt.NDArray[np.intp]:
        """The index into `names` of each hash's split."""
        return np.searchsorted(self._bounds, hashes, side="right")
