"""How many more bytes a link may carry, and how many it did. Sans-I/O.

One thread counts (the engine's loop), another settles with the ledger: the one only ever raises
`counted`, `free` and what is promised, the other only ever moves `limit`, so neither waits for the other.
"""

from __future__ import annotations

import math

LEAST = 32 * 1024
"""Bytes below which what is left of a cap is not worth asking for: about one small range. Chosen, not
measured: smaller ranges would spend more of the cap on heads; a larger value leaves more of it unused."""


class Allowance:
    """The bytes of one link in one process.

    Args:
        capped: Whether there is a cap; then nothing may be asked for before the ledger grants something.

    Attributes:
        counted: Bytes since this object was made, of hours that count.
        free: Bytes of free hours.
        limit: Where `counted` has to stop, as far as the ledger has granted; math.inf without a cap.
        exhausted: The ledger has nothing more to grant in this cycle.
        promised: Bytes that were asked for and have not come.
    """

    def __init__(self, *, capped: bool) -> None:
        self.counted = 0
        self.free = 0
        self.limit = 0.0 if capped else math.inf
        self.exhausted = False
        # By number, not as a sum alone: what a channel that closes had still to bring is given back whole.
        self._promised: dict[int, int] = {}
        self._promises = 0
        self.promised = 0

    # -- the loop's thread

    def promise(self, nbytes: int) -> int:
        """Bytes were asked for and will come. Returns the promise's number."""
        self._promises += 1
        self._promised[self._promises] = nbytes
        self.promised += nbytes
        return self._promises

    def came(self, number: int, nbytes: int) -> None:
        """Some of what was promised has come (and was taken by `take`)."""
        left = self._promised.get(number, 0)
        # An answer may bring more than was promised (heads are longer than assumed). It counts as taken; the
        # promise cannot go below nothing.
        kept = min(left, nbytes)
        if kept:
            self._promised[number] = left - kept
            self.promised -= kept

    def over(self, number: int) -> None:
        """Nothing more comes of the promise."""
        self.promised -= self._promised.pop(number, 0)

    def take(self, nbytes: int, *, free: bool) -> None:
        """Bytes were read off the link."""
        if free:
            self.free += nbytes
        else:
            self.counted += nbytes

    # -- any thread

    def room(self) -> float:
        """Bytes that may be asked for beyond what is promised; never below 0."""
        # Exact on the loop's thread, where all but `limit` changes. Read on another thread it may miss a
        # piece that is just passing from `promised` to `counted`.
        return max(0.0, self.limit - self.counted - self.promised)

    @property
    def closed(self) -> bool:
        """The cap is used up, and what had been asked for before is here."""
        return self.exhausted and self.promised <= 0 and self.room() < LEAST
