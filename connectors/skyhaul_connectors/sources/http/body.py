"""The body of an answer whose head was right: which of its bytes belong to the range. Sans-I/O.

A body with a stated length is handed on as it comes. One without is kept until it is whole: one that turns
out too long was not what was asked for, and none of it counts. Of a whole object only the range is taken.
"""

from __future__ import annotations

from skyhaul_connectors.sources.http.request import RangeExchange
from skyhaul_connectors.sources.http.response.head import AnswerHead


class RangeBody:
    """The body of one answer, as far as it has come.

    Attributes:
        ask: What is answered; its `taken` counts.
        too_long: More came than was asked for.
    """

    def __init__(self, ask: RangeExchange, head: AnswerHead) -> None:
        self.ask = ask
        self.too_long = False
        self._chunked = head.chunked
        whole = head.status == 200
        # A whole object without a length is not kept back, which might take gigabytes: `validate_answer` lets
        # it through only where a validator or a checksum proves it.
        self._skip = ask.asked.offset if whole else 0
        self._partly = whole and ask.asked.offset + ask.asked.length < ask.asked.object.size
        self._held = bytearray() if head.length is None and not whole else None

    @property
    def cut_out(self) -> bool:
        """The range is in, and the rest of the object is not wanted: the connection is of no further use."""
        return self._partly and self.complete

    @property
    def complete(self) -> bool:
        """All of the range came."""
        return self.ask.taken == self.ask.asked.length

    @property
    def odd(self) -> bool:
        """The server says that this was all, and it is not: no cut connection, but another answer."""
        # Chunked bodies alone state their end; one that lasts until the connection ends may have been cut.
        return self._held is not None and self._chunked and not self.complete

    def take(self, data: memoryview) -> tuple[int, memoryview] | None:
        """(offset in the object, bytes) to hand on; None where there are none yet.

        Without copying: the view is of the connection's buffer, and valid as long as `data`.
        """
        passed = min(self._skip, len(data))
        self._skip -= passed
        data = data[passed:]
        ask = self.ask
        at = ask.asked.offset + ask.taken
        room = ask.asked.length - ask.taken
        # Of a whole object that is cut out of, bytes behind the range are no surplus.
        self.too_long = len(data) > room and not self._partly
        fitting = data[:room]
        ask.taken += len(fitting)
        if self._held is not None:
            self._held += fitting
            return None
        return (at, fitting) if fitting else None

    def kept(self) -> tuple[int, bytes] | None:
        """(offset in the object, bytes) of all that was kept; nothing the second time."""
        held, self._held = self._held, None
        if not held:
            return None
        return self.ask.asked.offset + self.ask.taken - len(held), bytes(held)
