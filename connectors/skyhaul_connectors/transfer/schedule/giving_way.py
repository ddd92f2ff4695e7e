"""One object that does not come must not hold all of a source's connections: its shard gives way to others.

Ranges are asked for in the order of shards, so that what is first in line and drips, or says nothing, takes
every connection there is. Where the source as a whole brings next to nothing, or new connections open and
the old ones stay silent, and other shards wait, those that were tried go behind them.
"""

from __future__ import annotations

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.schedule.state import SourceState

_AFTER, _ROUND_TRIPS = 3.0, 5.0
"""Seconds, or round trips, for which a range is given its time."""

_LONGEST = 60.0
"""Seconds between two turns, where none brings more than the last: each takes twice as long."""

_FRUITLESS = 2
"""Times that what is out for a work is dropped without a byte; once is every outage."""


class GivingWay:
    """Lets works of one source fall behind."""

    def __init__(self, state: SourceState) -> None:
        self._state = state
        self._pause = 0.0
        self._next = 0.0

    def look(self, now: float) -> None:
        """Call it about once a second while something is missing."""
        state = self._state
        if not state.health.least.below(_AFTER):
            self._pause = 0.0
            return
        if now < self._next:
            return
        tried: set[int] = set()
        slow = []
        for channel in state.channels.values():
            lane = state.lanes[channel.lane]
            if not channel.in_flight or lane.silent_since is not None:
                continue
            patience = max(_AFTER, _ROUND_TRIPS * lane.estimate.slow_rtt)
            if now - channel.in_flight[0].sent_at >= patience:
                slow.append(channel)
                tried.update(flight.task.key for flight in channel.in_flight)
        tasks = [state.tasks[key] for key in tried if key in state.tasks]
        if not tasks or not state.queue.has_others(tasks):
            return
        self._pause = min(_LONGEST, max(_AFTER, 2 * self._pause))
        self._next = now + self._pause
        for channel in slow:
            state.close(channel)
        self._fall_behind(tasks)

    def dropped(self, tasks: set[int]) -> None:
        """What was out for these works (by key) was dropped, though the source can be reached."""
        fruitless = []
        for key in tasks:
            task = self._state.tasks.get(key)
            if task is not None:
                task.fruitless += 1
                if task.fruitless >= _FRUITLESS:
                    fruitless.append(task)
        if fruitless and self._state.queue.has_others(fruitless):
            self._fall_behind(fruitless)

    def _fall_behind(self, tasks: list[FetchTask]) -> None:
        for task in tasks:
            task.behind += 1
            task.fruitless = 0
        self._state.queue.reorder()
