"""Whether a server may be sent the next request before it has answered the last one (pipelining).

RFC 9112, section 9.3.2, has servers answer in order. Not all do, no server says whether it does, and one
that mixes up its answers would mix up data. So a server must prove it: the first range is asked for as two
halves at once. Both right and in order: proven, for all connections to that origin. An answer that belongs to
another request: never again. Sans-I/O.
"""

from __future__ import annotations

import enum

_TRIALS = 3
"""Trials that may end half way before pipelining is left alone: a lost link costs one, too, and each may keep
a range waiting for seconds (`range_connection._TRIAL_PATIENCE`). Chosen, not measured."""

_BEGUN_CAP = 20
"""Trials altogether, so that a server in trouble is not sent two requests for one for ever."""


class Trust(enum.Enum):
    """Where an origin stands."""

    UNKNOWN = "unknown"
    TRIAL = "trial"  # one connection has a trial under way; the others ask one by one
    PROVEN = "proven"
    DENIED = "denied"  # for the life of the source; a proof that comes after it changes nothing


class PipelineTrust:
    """What is known of one origin; shared by all loops of a source.

    Attributes:
        conditional: Whether requests carry If-Match; not so where it was refused for a version that an answer
            without it proved to be the right one.
    """

    def __init__(self) -> None:
        self.conditional = True
        self._state = Trust.UNKNOWN
        self._left = _TRIALS
        self._begun = 0

    @property
    def state(self) -> Trust:
        return self._state

    @property
    def proven(self) -> bool:
        return self._state is Trust.PROVEN

    def begin_trial(self) -> bool:
        """Whether the asker may try now; only one trial runs at a time."""
        if self._state is not Trust.UNKNOWN or self._left == 0 or self._begun == _BEGUN_CAP:
            return False
        self._begun += 1
        self._left -= 1  # given back by an end that says nothing
        self._state = Trust.TRIAL
        return True

    def passed(self) -> None:
        # A connection that was proven before may have broken the trust while this trial was under way.
        if self._state is Trust.TRIAL:
            self._state = Trust.PROVEN

    def unclear(self, *, half_way: bool) -> None:
        """The trial ended without a verdict.

        Args:
            half_way: It ended after the first half, which speaks against the server, though a lost link looks
                the same. Other ends say nothing, and cost no trial.
        """
        if self._state is Trust.TRIAL:
            self._state = Trust.UNKNOWN
            if not half_way:
                self._left += 1

    def broken(self) -> None:
        """The server answered out of order."""
        self._state = Trust.DENIED
