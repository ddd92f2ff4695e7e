"""Random numbers found by index, so that what happens at a time does not depend on who asked before."""

from __future__ import annotations

import hashlib
import math

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
"""The odd number nearest to 2**64 / golden ratio: SplitMix64's increment. With the multipliers below it is
part of what a seed means."""


def seed_for(seed: int, name: str) -> int:
    """A seed of its own for `name`, so that links of one job and one seed fail apart."""
    # Not hash(): it differs from process to process (PYTHONHASHSEED).
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "big")


class IndexedRandom:
    """Uniform numbers in [0, 1) by index: the same (seed, name, index) is the same number in any process.

    The generator is SplitMix64 (Steele, Lea, Flood, 'Fast splittable pseudorandom number generators',
    OOPSLA 2014), whose n-th output can be computed at once.
    """

    __slots__ = ("_key",)

    def __init__(self, seed: int, name: str) -> None:
        self._key = seed_for(seed, name)

    def at(self, index: int) -> float:
        """The number of this index, in [0, 1)."""
        z = (self._key + index * _STEP) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        # The upper 53 bits are all that a float holds; rounding up to 1.0 is then impossible.
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53


class RandomSequence:
    """The numbers of an `IndexedRandom` one after the other.

    For what has no time of its own, such as a packet's loss. Equal calls in equal order give equal numbers.
    """

    __slots__ = ("_index", "_random")

    def __init__(self, dice: IndexedRandom) -> None:
        self._random = dice
        self._index = 0

    def next(self) -> float:
        self._index += 1
        return self._random.at(self._index)

    def geometric(self, share: float) -> int:
        """How many trials until the first success, at least 1; each succeeds with `share` > 0."""
        if share >= 1:
            return 1
        # One draw for any run length (inversion), where one a packet would cost more than all else on a fast
        # link. `next` is below 1, so that the logarithm is finite.
        return 1 + int(math.log1p(-self.next()) / math.log1p(-share))
