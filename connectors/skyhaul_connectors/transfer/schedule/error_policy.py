"""What follows from an error: tried again and when, a work given up, a source or lane thought ill of."""

from __future__ import annotations

from skyhaul_connectors.links.profile.schedule import Phase
from skyhaul_connectors.sources.catalogue.doubts import ODD, pause
from skyhaul_connectors.transfer.schedule.fetch_task import RangeInFlight
from skyhaul_connectors.transfer.schedule.lane import ChannelState, LaneState
from skyhaul_connectors.transfer.schedule.retries import BUDGET, cost, made_progress, wait
from skyhaul_connectors.transfer.schedule.state import SourceState
from skyhaul_schemas.errors import (
    CarriageError,
    Disposition,
    RangesIgnored,
    RangeSpent,
    ReadFailed,
    ServerBusy,
    ServerError,
    SourceUnread,
    TransientError,
)

_REFUSED_PAUSE = 60.0
_REFUSALS = 6
"""Connections in a row."""


class ErrorPolicy:
    """Judges the errors of one source's ranges and connections."""

    def __init__(self, state: SourceState) -> None:
        self._state = state

    def on(self, flight: RangeInFlight, error: CarriageError, channel: ChannelState, now: float) -> None:
        """The ask ended with an error that is its own."""
        state = self._state
        lane = state.lanes[channel.lane]
        # A source that drips as a whole is slow, and its ranges are not to blame.
        alive = state.health.answered_at >= flight.sent_at and not state.health.least.drips
        if isinstance(error, ServerBusy | ServerError):
            lane.alive_at = now
            state.health.answered(now)
            state.health.complained(now, error)
            if isinstance(error, ServerBusy):
                lane.concurrency.refused(now, lane.open_channels)
        if flight.task.cancelled:
            return
        if error.disposition is Disposition.PERMANENT:
            self._doubt(flight, error, channel, now)
        elif error.disposition is Disposition.DEFERRED:
            state.requeue(flight, flight.retries_used, flight.tries)
            state.defer_when_closed(now, error)
        elif made_progress(flight.cursor - flight.start, flight.stop - flight.start):
            state.requeue(flight, 0, 0)
        else:
            retries_used = flight.retries_used + cost(
                error,
                first_of_channel=channel.open and not channel.answered,
                source_alive=alive,
                link_up=lane.phase(now) is Phase.UP,
            )
            self._try_again(flight, error, retries_used, now)

    def _doubt(self, flight: RangeInFlight, error: CarriageError, channel: ChannelState, now: float) -> None:
        """An answer that would end the work: asked for again, as often as its class is doubted. What gives
        nothing but odd answers from the start may sit behind this very connection, so that another one is
        opened."""
        state = self._state
        state.lanes[channel.lane].alive_at = now
        state.health.doubted(now)
        if isinstance(error, ODD):
            state.health.complained(now, error)
        if isinstance(error, RangesIgnored):
            state.ignored_a_range()
        tries = flight.doubted + 1
        if tries >= state.doubts.tries(error):
            state.doubts.true()
            state.give_up(flight.task, error)
            return
        seconds = pause(tries)
        not_before = now + seconds if seconds and not state.whole else 0.0
        state.requeue(flight, flight.retries_used, flight.tries, not_before, doubted=tries)
        if not channel.answered and channel.number in state.channels:
            state.close(channel)

    def _try_again(self, flight: RangeInFlight, error: CarriageError, retries_used: int, now: float) -> None:
        tries = flight.tries + 1
        if retries_used >= BUDGET:
            place = f"{flight.request.object.path!r} at {flight.request.offset}"
            kind = SourceUnread if isinstance(error, ReadFailed) else RangeSpent
            self._state.give_up(
                flight.task, kind(f"{self._state.name}: {place} failed {tries} times, the last time: {error}")
            )
            return
        seconds = wait(tries, self._state.draw)
        if isinstance(error, TransientError) and error.retry_after is not None:
            seconds = max(seconds, error.retry_after)
        self._state.requeue(flight, retries_used, tries, now + seconds if seconds else 0.0)

    def lane_refused(self, lane: LaneState, error: CarriageError, now: float) -> None:
        """No connection is to be had at all (TLS, say), and no range is to blame. One machine of many may
        have another certificate: it takes some in a row. Other lanes may do; this one is tried again in a
        minute. Where none is left the works end with the error."""
        lane.refusals += 1
        if lane.refusals < _REFUSALS:
            return
        lane.refusals = 0
        lane.refused = True
        lane.next_connect = now + _REFUSED_PAUSE
        if all(other.refused for other in self._state.lanes):
            for other in self._state.lanes:
                other.refused = False
                other.next_connect = float("-inf")
            self._state.give_up_all(error)
