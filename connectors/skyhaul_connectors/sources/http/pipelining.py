"""Whether a server may be sent the next request before it has answered the last one (pipelining).

Nobody says that they do it right, and one that mixes up its answers would mix up data. So a server must
prove it: the first range is asked for as two halves at once. Both right and in order: proven, for all
connections to that origin. An answer that belongs to another request: never again. Sans-I/O.
"""

from __future__ import annotations

import enum

_TRIALS = 3
"""Trials that may end half way before pipelining is left alone."""

_BEGUN_CAP = 20
"""Trials altogether, so that a server in trouble is not sent two requests for one for ever."""


class Trust(enum.Enum):
    UNKNOWN = "unknown"
    TRIAL = "trial"
    PROVEN = "proven"
    DENIED = "denied"


class PipelineTrust:
    """What is known of one origin. conditional: whether requests carry If-Match; not so where it was refused
    for a version that an answer without it proved to be the right one."""

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
        self._left -= 1
        self._state = Trust.TRIAL
        return True

    def passed(self) -> None:
        if self._state is Trust.TRIAL:
            self._state = Trust.PROVEN

    def unclear(self, *, half_way: bool) -> None:
        """The trial ended without a verdict. `half_way`: after the first half, which speaks against the
        server, though a lost link looks the same; other ends say nothing, and cost no trial."""
        if self._state is Trust.TRIAL:
            self._state = Trust.UNKNOWN
            if not half_way:
                self._left += 1

    def broken(self) -> None:
        """The server answered out of order."""
        self._state = Trust.DENIED
