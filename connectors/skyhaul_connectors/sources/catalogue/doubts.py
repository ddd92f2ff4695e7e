"""Which answers are doubted, and how often: one odd answer of a server is asked for again.

Behind one name there may be many machines, and one of them may be broken, or lag behind: it ignores ranges,
answers 404 or 412, or with somebody's error page, while the others are right. What it sends is never used.
Asking again costs little where the answer was true: an object that is gone stays gone.
"""

from __future__ import annotations

from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    RedirectRefused,
    SourceChanged,
)

ODD = (RangeRefused, MalformedAnswer)
"""No answer to what was asked: another range, no HTTP, an encoding, a page of HTML."""

_REFUSALS = (AccessRefused, RedirectRefused)
"""True as a rule; doubted only where the server has let us in before."""

_TRIES, _TRIES_IN_A_ROW, _TRIES_OF_FLICKERING = 6, 3, 12
"""See `Doubts.tries`. By `pause` six tries take 3.75 s, and twelve 15.75 s, short of half a minute."""

_TRUE_IN_A_ROW = 3
"""Answers that stayed the same until the source's odd answers are doubted less. Chosen, not measured."""


class Doubts:
    """What asking again has brought, at one source. Sans-I/O.

    Attributes:
        proved: The source has given right answers."""

    def __init__(self) -> None:
        self.proved = False
        self._flickers = False
        self._true_in_a_row = 0

    def tries(self, error: CarriageError) -> int:
        """How often a range is asked for, all in all, before the error counts; 1: it counts at once.

        A third of all answers being odd, six tries in a row are odd once in 729 times; so once a doubt was
        right, it is twelve. Where the answers prove true again and again (a thousand objects are gone),
        three will do."""
        if isinstance(error, _REFUSALS) and not self.proved:
            return 1
        if not isinstance(error, (*ODD, *_REFUSALS, ObjectMissing, SourceChanged)):
            return 1
        if self._flickers:
            return _TRIES_OF_FLICKERING
        return _TRIES_IN_A_ROW if self._true_in_a_row >= _TRUE_IN_A_ROW else _TRIES

    def right(self, *, after_doubt: bool) -> None:
        """A range came through whole.

        Args:
            after_doubt: Its last answer before was an odd one: machines behind this name differ."""
        self.proved = True
        if after_doubt:
            self._flickers = True
            self._true_in_a_row = 0

    def true(self) -> None:
        """An answer stayed what it was, however often it was asked for."""
        self._true_in_a_row += 1


def pause(tries: int) -> float:
    """Seconds before try number `tries` + 1: the first repeat is at once, the last ones 2 s apart."""
    return 0.0 if tries <= 1 else min(2.0, 0.25 * 2.0 ** min(8, tries - 2))
