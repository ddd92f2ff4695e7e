"""One object that does not come must not hold all of a source's connections: its shard gives way to others.

Ranges are asked for in the order of shards, so that what is first in line and drips, or says nothing, takes
every connection there is. Where the source as a whole brings next to nothing, or new connections open and
the old ones stay silent, and other shards wait, those that were tried go behind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.schedule.lane import ChannelState
from skyhaul_connectors.transfer.schedule.state import SourceState

_AFTER, _ROUND_TRIPS = 3.0, 5.0
"""Seconds, or round trips, for which a range is given its time. Chosen, not measured."""

_LONGEST = 60.0
"""Seconds between two turns, where none brings more than the last: each takes twice as long. Chosen."""

_FRUITLESS = 2
"""Times in a row that what is in flight for a task is dropped without a byte; once is an outage. Chosen."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The channels to drop, and the tasks that fall behind after that."""

    channels: Sequence[ChannelState] = ()
    tasks: Sequence[FetchTask] = ()


NOBODY = Turn()


class GivingWay:
    """Says which tasks of one source are to fall behind."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._pause = 0.0
        self._next = 0.0

    def look(self, now: float) -> Turn:
        """Who has to give way, `now` (seconds). Call it about once a second while something is missing."""
        # The source as a whole is asked first: where others bring enough, one object that drips holds up
        # nobody, and dropping its channels would only cost its bytes in flight.
        state = self._state
        if not state.health.least.below(_AFTER):
            self._pause = 0.0
            return NOBODY
        if now < self._next:
            return NOBODY
        slow = [channel for channel in state.channels.values() if self._is_slow(channel, now)]
        tried = {flight.task.key for channel in slow for flight in channel.in_flight}
        tasks = [state.tasks[key] for key in tried if key in state.tasks]
        if not tasks or not state.queue.has_others(tasks):
            return NOBODY
        self._pause = min(_LONGEST, max(_AFTER, 2 * self._pause))
        self._next = now + self._pause
        return Turn(slow, tasks)

    def dropped(self, keys: Iterable[int]) -> Sequence[FetchTask]:
        """What was in flight for these tasks (by key) was dropped, though the source can be reached.

        Returns:
            Those that are to fall behind; none where no other task waits."""
        tasks = self._state.tasks
        fruitless = [tasks[key] for key in keys if key in tasks and tasks[key].drop_fruitless() >= _FRUITLESS]
        return fruitless if fruitless and self._state.queue.has_others(fruitless) else ()

    def _is_slow(self, channel: ChannelState, now: float) -> bool:
        lane = self._state.lanes[channel.lane]
        # Silence of a whole lane says nothing of a task: probes see to it (`connecting`).
        if not channel.in_flight or lane.silent:
            return False
        patience = max(_AFTER, _ROUND_TRIPS * lane.estimate.slow_rtt)
        # Only the first range can drip; those behind it wait for it.
        return now - channel.in_flight[0].sent_at >= patience
