"""How a source as a whole is doing: silent, failing, or asking for patience. Sans-I/O; seconds."""

from __future__ import annotations

from skyhaul_connectors.transfer.schedule.least_rate import LeastRate
from skyhaul_schemas.errors import (
    CarriageError,
    ServerBusy,
    SourceFailing,
    SourceSilent,
)
from skyhaul_schemas.units import exact_size, format_duration, format_size

_MARGIN = 0.95
"""Of `give_up_after`, after which the verdict comes, so that it is given before the time is over, ticks and
pauses included (`test_verdicts` asks for two minutes). Chosen, not measured."""

_RETRIAL = 10.0
"""Seconds of silence that work gets after the source was found silent, instead of all its patience.
Chosen, not measured."""

_PROGRESS = 16 * 1024
"""Bytes that are as good as a whole range for a source that fails: the smallest range. Chosen."""

_STUCK = 10.0
"""Seconds without a byte after which what is wanted does not move (`moves`): a segment that somebody waits
for then enters a full spool. Chosen, not measured."""

_COMPLAINT_HOLDS = 60.0
"""Seconds without a further error after which new work begins with a clean slate. Chosen, not measured."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
"""Seconds that requests pause after a 429 or 503 that names no time: doubled with each in a row. Chosen."""

_DOUBTED = 4.0
"""Seconds after an odd answer in which the next one is on its way: twice the longest pause."""


class SourceHealth:
    """Two clocks, of silence and of failing, and a mean rate.

    *Silence* runs while no byte and no answer comes; after `patience` it defers (the source may be there
    tomorrow). *Failing* runs from the first 429, 503 or other 5xx until a range comes through whole; after
    `give_up_after` it fails. Time in which no link has a contact stops the first.

    A source that brings less than `min_rate` (bytes a second, all its connections together) as a mean over
    `patience` is as good as silent. Time in which it could not deliver more does not count (`look`).

    A verdict is remembered: work that is added later gets a short trial, not the full time again.

    Args:
        name: The source's, for messages.
        patience: Seconds of silence, and of less than `min_rate`, until it is a verdict.
        give_up_after: Seconds of nothing but errors until it is one.
        min_rate: Bytes a second; 0 asks for nothing.

    Attributes:
        answered_at: When a byte or an answer came last (seconds); -inf before.
        paused_until: Until when the server asked for no requests (seconds); -inf where it did not.
        least: The mean that `min_rate` is held against."""

    def __init__(self, name: str, *, patience: float, give_up_after: float, min_rate: float = 0.0) -> None:
        self.name = name
        self.answered_at = float("-inf")
        self.paused_until = float("-inf")
        self.patience = patience
        self._give_up_after = give_up_after * _MARGIN
        self._since = 0.0
        self._failing_since: float | None = None
        self._complained_at = float("-inf")
        self._doubted_at = float("-inf")
        self._last_error: CarriageError | None = None
        self._connect_error: CarriageError | None = None
        self._found_silent = False
        self._busy_in_a_row = 0
        self._progress = 0
        self._closed = False
        self.least = LeastRate(min_rate, patience)

    def begin(self, now: float) -> None:
        """There is work again after there was none."""
        self._since = now
        self.least.begin(now)
        if now - self._complained_at > _COMPLAINT_HOLDS:
            self._failing_since = None

    def answered(self, now: float) -> None:
        """Bytes or an answer came."""
        self.answered_at = now
        # A source that drips answers too, and goes on being what it was found to be.
        if self._found_silent and not self.least.drips:
            self._found_silent = False
        self._connect_error = None

    def received(self, now: float, count: int) -> None:
        """`count` bytes of an answer came.

        Enough of them are as good as a whole range, which may take minutes on a thin link."""
        self.answered(now)
        self.least.received(count)
        if self._failing_since is not None:
            self._progress += count
            if self._progress >= _PROGRESS:
                self.succeeded()

    def succeeded(self) -> None:
        """A range came through whole."""
        self._failing_since = None
        self._progress = 0
        self._last_error = None
        self._busy_in_a_row = 0

    def complained(self, now: float, error: CarriageError) -> None:
        """The source answered with an error that is about itself; 429 and 503 pause all requests to it."""
        if self._failing_since is None:
            self._failing_since = now
        self._last_error = error
        self._complained_at = now
        if isinstance(error, ServerBusy):
            asked = error.retry_after
            if asked is None:
                asked = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(8, self._busy_in_a_row))
            # A hundred connections may be told so at once: only a pause that ends later is one more in a row.
            if now + asked > self.paused_until:
                self._busy_in_a_row += 1
                self.paused_until = now + asked

    def doubted(self, now: float) -> None:
        """The source gave an answer that is asked for again."""
        self.answered(now)
        self._doubted_at = now

    def connect_failed(self, error: CarriageError) -> None:
        self._connect_error = error

    def moves(self, now: float) -> bool:
        """Whether wanted bytes arrive: false after ten seconds without one, and where the source drips."""
        return not self.least.drips and now - max(self._since, self.answered_at) < _STUCK

    def look(self, now: float, *, counts: bool) -> None:
        """Time has passed since the last look. It counts for the mean, or not.

        Where the source answers with errors, or oddly, other clocks and budgets run.

        Args:
            now: Seconds.
            counts: Whether the source could have delivered what was asked for: a link was up, and neither a
                pace nor a cap of ours, nor a pause that the server asked for, held us back."""
        errs = self._failing_clock() is not None or now - self._doubted_at < _DOUBTED
        self.least.look(now, counts=counts and not errs)

    def verdict(self, now: float, closed: bool) -> CarriageError | None:
        """The error with which the source's tasks end, SourceFailing or SourceSilent; None: it goes on."""
        # `self._closed`: at the first look after a contact opened, too, or the time that nobody looked in
        # would count as the source's silence.
        if closed or self._closed:
            self._since = now
        self._closed = closed
        failing = self._failing_clock()
        if failing is not None and now - failing >= self._give_up_after:
            lasted = format_duration(now - failing)
            return SourceFailing(
                f"{self.name}: nothing but errors for {lasted}, the last one: {self._last_error}"
            )
        quiet = now - max(self._since, self.answered_at)
        if quiet >= self._allowed_silence():
            self._found_silent = True
            why = f": {self._connect_error}" if self._connect_error else ""
            return SourceSilent(
                f"{self.name}: no byte for {format_duration(quiet)}{why}; run again when it answers"
            )
        over = self._allowed_silence()
        if self.least.below(over):
            brought = self.least.mean(over) or 0.0
            self._found_silent = True
            # Work that is added later is judged by what comes then, not by the mean that was just told.
            self.least.forget()
            return SourceSilent(
                f"{self.name}: {format_size(brought)}/s over {format_duration(over)}, less than its min_rate"
                f" of {exact_size(round(self.least.rate))}/s; run again when it is quicker, or lower min_rate"
            )
        return None

    def verdict_due(self, now: float) -> float:
        """When `verdict` may first say something, if nothing happens until then."""
        due = max(self._since, self.answered_at) + self._allowed_silence()
        failing = self._failing_clock()
        if failing is not None:
            due = min(due, failing + self._give_up_after)
        return min(due, self.least.due(now, self._allowed_silence()))

    def _failing_clock(self) -> float | None:
        """Since when nothing but errors came; None where none came to the present work."""
        return self._failing_since if self._complained_at >= self._since else None

    def _allowed_silence(self) -> float:
        return min(self.patience, _RETRIAL) if self._found_silent else self.patience
