"""What follows from an error of a range: it is tried again and when, or its task ends.

A retry budget is for errors that say something of the range. An outage, a closed link or a connection that
ends after good answers says nothing of it and costs nothing; neither does 429 or 503, which is the source's
word about itself and has its own clock (`health`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.sources.catalogue.doubts import ODD, pause
from skyhaul_connectors.transfer.schedule.fetch_task import RangeInFlight
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_schemas.errors import (
    CarriageError,
    ConnectionLost,
    Disposition,
    RangesIgnored,
    RangeSpent,
    ReadFailed,
    ServerBusy,
    ServerError,
    SourceUnread,
    StalledError,
    TransientError,
)

BUDGET = 12
"""What a range may spend between two stretches of progress: twelve 5xx in a row, or four stalls. Chosen, not
measured: with the waits below a dozen tries take half a minute, well within the two minutes after which a
source that gives nothing but errors fails (`health`)."""

PROGRESS = 16 * 1024
"""Bytes of an answer (or half of the range) that give the budget back. The smallest range; chosen."""

_FIRST_WAIT, _LONGEST_WAIT = 0.25, 5.0
"""Seconds before the second repeat, and before the last ones. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The range is asked for again.

    Attributes:
        retries_used, tries, doubted: What the range has used up then; see `PendingRange`.
        not_before: When it may be asked for (seconds); 0 is at once.
        link_closed: The link said that it is closed: where no other has a contact, tasks are put off.
        elsewhere: Its channel has brought nothing but odd answers: another one may reach another machine.
    """

    retries_used: int
    tries: int
    doubted: int
    not_before: float = 0.0
    link_closed: bool = False
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class EndTask:
    """The range's task ends with the error."""

    error: CarriageError


class ErrorPolicy:
    """Judges the errors of one source's ranges. `seed` makes its waits the same in each run."""

    def __init__(self, state: SourceState, seed: int) -> None:
        self._state = state
        # A string seeds alike in every process: by its SHA-512 (`random.seed`, version 2), not its hash.
        self._draw = random.Random(f"scheduler/{seed}/{state.name}")

    def judge(
        self, flight: RangeInFlight, error: CarriageError, channel: ChannelState, now: float
    ) -> Retry | EndTask | None:
        """The range ended with an error that is its own.

        The source's health and the lane are told what the error says of them; all else is the caller's.

        Returns:
            What follows for the range; None where its task is cancelled.
        """
        lane = self._state.lanes[channel.lane]
        health = self._state.health
        # A source that drips as a whole is slow, and its ranges are not to blame.
        alive = health.answered_at >= flight.sent_at and not health.least.drips
        if isinstance(error, ServerBusy | ServerError):
            self._complained(error, lane, now)
        if flight.task.cancelled:
            return None
        # Before progress is looked at: bytes before an odd answer do not make it less odd.
        if error.disposition is Disposition.PERMANENT:
            return self._doubt(flight, error, channel, now)
        if error.disposition is Disposition.DEFERRED:
            return Retry(flight.retries_used, flight.tries, flight.doubted, link_closed=True)
        if made_progress(flight.cursor - flight.start, flight.stop - flight.start):
            return Retry(0, 0, flight.doubted)
        price = cost(
            error,
            first_of_channel=channel.open and not channel.answered,
            source_alive=alive,
            link_up=lane.phase(now) is Phase.UP,
        )
        return self._try_again(flight, error, flight.retries_used + price, now)

    def _complained(self, error: ServerBusy | ServerError, lane: LaneState, now: float) -> None:
        """Note an error that the server reports about itself: it is reachable, and asks for patience."""
        lane.silence.heard(now)
        self._state.health.answered(now)
        self._state.health.complained(now, error)
        if isinstance(error, ServerBusy):
            lane.concurrency.refused(now, lane.open_channels)

    def _doubt(
        self, flight: RangeInFlight, error: CarriageError, channel: ChannelState, now: float
    ) -> Retry | EndTask:
        """An answer that would end the task: asked for again, as often as its class is doubted.

        A machine that gives nothing but odd answers may sit behind this very connection, so one that never
        brought anything right is given up for another one."""
        state = self._state
        state.lanes[channel.lane].silence.heard(now)
        state.health.doubted(now)
        if isinstance(error, ODD):
            state.health.complained(now, error)
        if isinstance(error, RangesIgnored):
            state.ignored_a_range()
        tries = flight.doubted + 1
        if tries >= state.doubts.tries(error):
            state.doubts.true()
            return EndTask(error)
        # Where objects are asked for whole from now on, the next try asks for something else: no pause.
        seconds = pause(tries)
        return Retry(
            flight.retries_used,
            flight.tries,
            tries,
            now + seconds if seconds and not state.whole else 0.0,
            elsewhere=not channel.answered,
        )

    def _try_again(
        self, flight: RangeInFlight, error: CarriageError, used: int, now: float
    ) -> Retry | EndTask:
        tries = flight.tries + 1
        if used >= BUDGET:
            place = f"{flight.request.object.path!r} at {flight.request.offset}"
            kind = SourceUnread if isinstance(error, ReadFailed) else RangeSpent
            return EndTask(kind(f"{self._state.name}: {place} failed {tries} times, the last time: {error}"))
        seconds = wait(tries, self._draw)
        # Retry-After (RFC 9110, 10.2.3) is a lower bound: never sooner, even where the wait is shorter.
        if isinstance(error, TransientError) and error.retry_after is not None:
            seconds = max(seconds, error.retry_after)
        return Retry(used, tries, flight.doubted, now + seconds if seconds else 0.0)


def cost(error: CarriageError, *, first_of_channel: bool, source_alive: bool, link_up: bool) -> int:
    """Units of BUDGET that the error costs its range.

    Args:
        error: What the range ended with.
        first_of_channel: The channel had opened and never answered anything.
        source_alive: Bytes came from the source since the range was asked for.
        link_up: False where the link is known to be down or closed.
    """
    if error.disposition is not Disposition.TRANSIENT or not link_up:
        return 0
    # 429 and 503 are the source's word about itself: its own clock ends that (`SourceHealth`).
    if isinstance(error, ServerBusy):
        return 0
    if isinstance(error, ReadFailed):
        return BUDGET // 3  # no network is in between: it does not go better for waiting
    if isinstance(error, ServerError):
        return 1
    # A stall takes its deadline where a 5xx comes at once, so it costs more. Where nothing came from the
    # source meanwhile it is an outage, and silence has a clock of its own.
    if isinstance(error, StalledError):
        return 3 if source_alive else 0
    # A connection that had answered may end at any time (keep-alive limits, a link that went). One that
    # opens and dies at each first request is about the request.
    if isinstance(error, ConnectionLost):
        return 1 if first_of_channel else 0
    return 0


def wait(tries: int, draw: random.Random) -> float:
    """Seconds before try number `tries` + 1. The first repeat is at once.

    They double from 0.25 s to 5 s, up to a fifth less by chance, so that ranges that failed together do not
    come back together."""
    if tries <= 1:
        return 0.0
    full = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(16, tries - 2))
    return full * (1.0 - 0.2 * draw.random())


def made_progress(received: int, length: int) -> bool:
    """Whether an answer that broke off had come far enough to give the budget back."""
    return received >= min(PROGRESS, -(-length // 2)) and received > 0
