"""A source over a real link: asks at a contracted rate at most, and only while a contact is open.

Nothing is delayed but requests: the answers come as the network brings them. A link emulates with
`EmulatedSource` instead.
"""

from __future__ import annotations

import asyncio

from skyhaul_connectors.links.emulation.traffic import Traffic
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.over_link.wrapper import SourceWrapper
from skyhaul_connectors.sources.protocol import (
    Channel,
    ChannelEvents,
    RangeRequest,
    Route,
    Source,
)
from skyhaul_schemas.errors import CarriageError, LinkClosed

HEAD_BYTES = 300
"""Bytes that the head of an answer takes besides payload (assumed). Counted for each range, so that many
small ranges do not pass the rate."""


class PacedSource(SourceWrapper):
    """`inner`, over `link`. All paced sources of a process share the link's pace."""

    def __init__(self, inner: Source, link: SharedLink) -> None:
        super().__init__(inner, link)
        # Shared with the channels, and no list of them: a request may wait after its channel is gone.
        self._held = _Held()

    def holds_back(self) -> bool:
        return self._held.requests > 0 or super().holds_back()

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        return _PacedChannel(self._inner, self._link, self._held, events, route)


class _Held:
    """How many requests of a source wait for the pace."""

    def __init__(self) -> None:
        self.requests = 0


class _PacedChannel:
    """The owner's channel, and the inner one's owner."""

    def __init__(
        self, inner: Source, link: SharedLink, held: _Held, events: ChannelEvents, route: Route
    ) -> None:
        self._link = link
        self._held = held
        self._events = events
        self._traffic: Traffic = link.traffic()
        self._over = False
        self._inner: Channel | None = None
        self._factor = link.profile.mtu / link.profile.segment
        refusal = self._traffic.gate.refusal()
        if refusal is not None:
            # Later, in a turn of its own: no event may come from inside `connect`.
            self._over = True
            asyncio.get_running_loop().call_soon(events.closed, refusal)
            return
        # Before the inner channel joins (an emulated one does): the owner hears of the contact's end from
        # here, by one `closed`, and not from the inner channel's.
        self._traffic.gate.join(self._contact_ended)
        self._inner = inner.connect(self, route)

    @property
    def pipelines(self) -> bool:
        return self._inner is not None and self._inner.pipelines

    def request(self, request: RangeRequest) -> None:
        if not self._over:
            # What is paced is the asking: an answer comes as fast as the network brings it, so ranges that
            # are large against the rate come in lumps.
            cost = round((request.length + HEAD_BYTES) * self._factor)
            self._held.requests += 1
            self._traffic.pace(cost, lambda: self._ask(request))

    def close(self) -> None:
        """The inner channel's `closed` follows, and is handed on."""
        if self._inner is not None and not self._over:
            self._inner.close()

    def opened(self, timed: bool = True) -> None:
        if not self._over:
            self._events.opened(timed)

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        if not self._over:
            self._events.received(request, offset, data)

    def finished(self, request: RangeRequest) -> None:
        if not self._over:
            self._events.finished(request)

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        if not self._over:
            self._events.failed(request, error)

    def wire(self, count: int) -> None:
        if not self._over:
            self._events.wire(count)

    def closed(self, error: CarriageError | None) -> None:
        if not self._over:
            self._over = True
            self._traffic.gate.leave(self._contact_ended)
            self._events.closed(error)

    def _ask(self, request: RangeRequest) -> bool:
        """Whether the request went out; a channel that is gone leaves its share to others."""
        self._held.requests -= 1
        if self._over or self._inner is None:
            return False
        self._inner.request(request)
        return True

    def _contact_ended(self, error: LinkClosed) -> None:
        self.closed(error)
        if self._inner is not None:
            self._inner.close()
