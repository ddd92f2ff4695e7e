"""A set of shard numbers as a bitmap: a bit a shard, however large the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set

import numpy as np


class ShardSet(Set[int]):
    """A set of shard numbers, immutable once built.

    About `max / 8` bytes: 125 kB for a million shards, which as a set of Python's integers would be some 60
    MB."""

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        bits = bytearray()
        for number in numbers:
            byte = number >> 3
            if byte >= len(bits):
                # Half as much again, so that numbers that rise cost a copy now and then.
                bits.extend(bytes(byte + 1 - len(bits) + len(bits) // 2))
            bits[byte] |= 1 << (number & 7)
        self._bits = bytes(bits)
        self._count = int(np.bitwise_count(np.frombuffer(self._bits, np.uint8)).sum())

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or not 0 <= number < 8 * len(self._bits):
            return False
        return bool(self._bits[number >> 3] >> (number & 7) & 1)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        for index, byte in enumerate(self._bits):
            if byte:
                yield from (8 * index + bit for bit in range(8) if byte >> bit & 1)

    def __repr__(self) -> str:
        return f"ShardSet of {len(self)} shards"
