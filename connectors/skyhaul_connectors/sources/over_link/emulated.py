"""A source as if it were behind a satellite link.

The same protocol, with the link's rate, delay, loss, outages and contacts between its channels and their
owner.

What is emulated are streams, not packets: requests reach the inner channel after the way up, its answers
reach the owner when the link's model says. Nothing but time, resets and closed contacts is added: the
bytes and the inner source's own errors come through as they are.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from typing import Any

from skyhaul_connectors.links.emulation.timeline import SLACK
from skyhaul_connectors.links.emulation.traffic import Traffic
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.over_link.far_end import Closed, Data, Failed, FarEnd, Finished, Heads, Opened
from skyhaul_connectors.sources.over_link.wrapper import SourceWrapper
from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, RangeRequest, Route, Source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import CarriageError, ConnectFailed, ConnectionLost, LinkClosed, StalledError

REQUEST_BYTES = 320
"""Bytes that a request takes of the way up: the head of a GET with a range and a validator (assumed). On
links of 10:1 and more they are what delays a request behind others."""


class EmulatedSource(SourceWrapper):
    """`inner`, seen through `link`. Listing and plan-time reads are not delayed.

    Args:
        inner: Should answer at once: what it takes itself is added to what the link takes.
        link: The emulated link.
        secure: Connecting takes one round trip more, for TLS 1.3 (RFC 8446).
        timeouts: `connect` and `idle` hold on this side of the link; the inner source, which answers at once,
            never meets its own."""

    def __init__(
        self, inner: Source, link: SharedLink, *, secure: bool = False, timeouts: Timeouts | None = None
    ) -> None:
        super().__init__(inner, link)
        self._secure = secure
        self._timeouts = timeouts or Timeouts()
        # Weak: a channel that has ended is not taken out.
        self._channels: weakref.WeakSet[_EmulatedChannel] = weakref.WeakSet()

    def holds_back(self) -> bool:
        # The inner source answers at once: what waits, waits here.
        return any(channel.holds_back for channel in self._channels)

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        channel = _EmulatedChannel(
            self._inner, self._link, events, route, secure=self._secure, timeouts=self._timeouts
        )
        self._channels.add(channel)
        return channel


class _EmulatedChannel:
    """The owner's channel, and the receiver of what comes down the link."""

    def __init__(
        self,
        inner: Source,
        link: SharedLink,
        events: ChannelEvents,
        route: Route,
        *,
        secure: bool,
        timeouts: Timeouts,
    ) -> None:
        self._source = inner
        self._link = link
        self._events = events
        self._route = route
        self._secure = secure
        self._timeouts = timeouts
        self._traffic: Traffic = link.traffic()
        self._loop = asyncio.get_running_loop()
        self._flow = self._traffic.downlink.open(self)
        self._far = FarEnd(self._traffic, self._flow)
        self._inner: Channel | None = None
        # Requests that were made before the channel was open; None from then on.
        self._waiting: deque[RangeRequest] | None = deque()
        self._asked_by = 0.0
        self._over = False
        self._due = 0
        self._heard_at = 0.0
        self._watching = False
        # Later, in a turn of its own: no event may come from inside `connect`.
        refusal = self._traffic.gate.refusal()
        if refusal is not None:
            self._end(refusal, later=True)
            return
        self._traffic.gate.join(self._contact_ended)
        self._traffic.timeline.at(self._traffic.connect_up(), self._reach)
        self._traffic.timeline.at(self._traffic.clock.now() + timeouts.connect, self._connect_late)

    @property
    def pipelines(self) -> bool:
        return self._inner is not None and self._inner.pipelines

    @property
    def holds_back(self) -> bool:
        """Whether bytes wait for their turn on the link."""
        return not self._over and bool(self._flow.queue)

    def request(self, request: RangeRequest) -> None:
        if self._over:
            return
        # Idle is counted while an answer is due: a quiet time before must not count against the first one.
        if not self._due:
            self._heard_at = self._traffic.clock.now()
        self._due += 1
        if self._waiting is not None:
            self._waiting.append(request)
        else:
            self._send(request)

    def close(self) -> None:
        if not self._over:
            self._end(None, later=True)

    def arrived(self, tag: Data, start: int, data: memoryview) -> None:
        self._heard_at = self._traffic.clock.now()
        self._events.wire(len(data))
        if not self._over:
            self._events.received(tag.request, tag.offset + start, data)

    def noted(self, tag: Any) -> None:
        self._heard_at = self._traffic.clock.now()
        match tag:
            case Heads():
                self._events.wire(tag.count)
            case Finished():
                self._due -= 1
                self._events.finished(tag.request)
            case Failed():
                self._due -= 1
                self._events.failed(tag.request, tag.error)
            case Closed():
                self._end(tag.error, later=False)
            case Opened():
                # The second round trip, of TLS: up again from here, and the same note comes back. Two of
                # them are no measure of one.
                if self._secure:
                    again = self._traffic.send_up(REQUEST_BYTES, 0.0)
                    self._secure = False
                    self._traffic.timeline.at(again, self._far.opened, False)
                else:
                    self._open(tag.timed)

    def broken(self) -> None:
        self._end(ConnectionLost(f"link {self._link.name}: the connection was reset"), later=False)

    def _reach(self) -> None:
        """The first packet is at the far end."""
        if not self._over:
            self._inner = self._source.connect(self._far, self._route)

    def _open(self, timed: bool) -> None:
        waiting = self._waiting or deque()
        # Still kept there meanwhile: what the owner asks from inside `opened` stands behind what it asked
        # before.
        self._events.opened(timed)
        self._waiting = None
        for request in waiting:
            if not self._over:
                self._send(request)

    def _connect_late(self) -> None:
        if self._waiting is not None and not self._over:
            self._end(
                ConnectFailed(
                    f"{self._source.name}: no connection over link {self._link.name}"
                    f" within {self._timeouts.connect:g}s"
                ),
                later=False,
            )

    def _send(self, request: RangeRequest) -> None:
        # `_asked_by` keeps a lost request from being overtaken by the next one, as TCP does.
        self._watch()
        self._asked_by = self._traffic.send_up(REQUEST_BYTES, self._asked_by)
        self._traffic.timeline.at(self._asked_by, self._ask, request)

    def _ask(self, request: RangeRequest) -> None:
        if not self._over and self._inner is not None:
            self._inner.request(request)

    def _watch(self) -> None:
        """The idle deadline: one entry of the timeline a channel, moved on when it comes up.

        Not one for each piece that arrives: a fast link brings thousands a second."""
        if not self._watching:
            self._watching = True
            self._traffic.timeline.at(self._heard_at + self._timeouts.idle, self._look)

    def _look(self) -> None:
        self._watching = False
        if self._over or not self._due:
            return
        due_by = self._heard_at + self._timeouts.idle
        if self._traffic.clock.now() + SLACK >= due_by:
            self._end(
                StalledError(
                    f"{self._source.name}: no byte over link {self._link.name} for {self._timeouts.idle:g}s"
                ),
                later=False,
            )
        else:
            self._watching = True
            self._traffic.timeline.at(due_by, self._look)

    def _contact_ended(self, error: LinkClosed) -> None:
        self._end(error, later=False)

    def _end(self, error: CarriageError | None, *, later: bool) -> None:
        if self._over:
            return
        self._over = True
        self._traffic.gate.leave(self._contact_ended)
        self._traffic.downlink.drop(self._flow)
        # The inner channel may tell its end in a later turn: nothing of it reaches the owner any more.
        self._far.cut()
        if self._inner is not None:
            self._inner.close()
        if later:
            self._loop.call_soon(self._events.closed, error)
        else:
            self._events.closed(error)
