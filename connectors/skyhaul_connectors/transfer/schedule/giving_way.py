"""One object that does not come must not hold all of a source's connections: its shard gives way to others.

Ranges are asked for in the order of shards, so that what is first in line and drips, or says nothing, takes
every connection there is. Where the source as a whole brings next to nothing, or new connections open and
the old ones stay silent, and other shards wait, those that were tried go behind them.
"""

from __future__ import annotations

from skyhaul_connectors.transfer.schedule.fetch_task import Work
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
            if not channel.asks or lane.silent_since is not None:
                continue
            patience = max(_AFTER, _ROUND_TRIPS * lane.estimate.slow_rtt)
            if now - channel.asks[0].asked_at >= patience:
                slow.append(channel)
                tried.update(ask.work.key for ask in channel.asks)
        works = [state.works[key] for key in tried if key in state.works]
        if not works or not state.queue.has_others(works):
            return
        self._pause = min(_LONGEST, max(_AFTER, 2 * self._pause))
        self._next = now + self._pause
        for channel in slow:
            state.hang(channel)
        self._fall_behind(works)

    def dropped(self, works: set[int]) -> None:
        """What was out for these works (by key) was dropped, though the source can be reached."""
        fruitless = []
        for key in works:
            work = self._state.works.get(key)
            if work is not None:
                work.fruitless += 1
                if work.fruitless >= _FRUITLESS:
                    fruitless.append(work)
        if fruitless and self._state.queue.has_others(fruitless):
            self._fall_behind(fruitless)

    def _fall_behind(self, works: list[Work]) -> None:
        for work in works:
            work.behind += 1
            work.fruitless = 0
        self._state.queue.reorder()
