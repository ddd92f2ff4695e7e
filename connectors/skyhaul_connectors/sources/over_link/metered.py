"""A source over a link whose bytes are counted: what is asked for is promised, what is read is taken.

Counted is what the network below carries for what is read off the connections: each full segment has its
headers. Requests, acknowledgements and what TCP sends twice are not seen from here.
"""

from __future__ import annotations

from skyhaul_connectors.links.contract.rules import LinkRules
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.over_link.paced import HEAD_BYTES
from skyhaul_connectors.sources.over_link.wrapper import SourceWrapper
from skyhaul_connectors.sources.protocol import (
    Channel,
    ChannelEvents,
    RangeRequest,
    Route,
    Source,
)
from skyhaul_schemas.errors import CarriageError


class MeteredSource(SourceWrapper):
    """`inner`, over `link`, which has rules with an allowance."""

    def __init__(self, inner: Source, link: SharedLink, rules: LinkRules) -> None:
        super().__init__(inner, link)
        self._rules = rules

    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        return _MeteredChannel(self._inner, self._link, self._rules, events, route)


class _MeteredChannel:
    """The owner's channel, and the inner one's owner.

    Outermost of a lane's wrappers (`WorkerContext._lanes`): a request that waits for the pace is promised
    already."""

    def __init__(
        self, inner: Source, link: SharedLink, rules: LinkRules, events: ChannelEvents, route: Route
    ) -> None:
        assert rules.allowance is not None
        self._allowance = rules.allowance
        self._rules = rules
        self._clock = link.clock
        self._events = events
        # 1500/1448: operators count at the IP layer, and a stream is nearly all full segments.
        self._factor = link.profile.mtu / link.profile.segment
        self._promises: dict[int, int] = {}
        self._inner = inner.connect(self, route)

    @property
    def pipelines(self) -> bool:
        return self._inner.pipelines

    def request(self, request: RangeRequest) -> None:
        # Promised before it is asked for, so that `room` never lends the same bytes twice.
        cost = round((request.length + HEAD_BYTES) * self._factor)
        self._promises[request.tag] = self._allowance.promise(cost)
        self._inner.request(request)

    def close(self) -> None:
        self._inner.close()

    def opened(self, timed: bool = True) -> None:
        self._events.opened(timed)

    def received(self, request: RangeRequest, offset: int, data: bytes | memoryview) -> None:
        number = self._promises.get(request.tag)
        if number is not None:
            self._allowance.came(number, round(len(data) * self._factor))
        self._events.received(request, offset, data)

    def finished(self, request: RangeRequest) -> None:
        self._end(request)
        self._events.finished(request)

    def failed(self, request: RangeRequest, error: CarriageError) -> None:
        self._end(request)
        self._events.failed(request, error)

    def wire(self, count: int) -> None:
        # All that is read counts, also of answers that are refused or repeated: the operator counts it as
        # well.
        self._rules.take(self._clock.epoch + self._clock.now(), round(count * self._factor))
        self._events.wire(count)

    def closed(self, error: CarriageError | None) -> None:
        # A closed channel sends no `failed` for its open requests (see `ChannelEvents`).
        for number in self._promises.values():
            self._allowance.over(number)
        self._promises.clear()
        self._events.closed(error)

    def _end(self, request: RangeRequest) -> None:
        number = self._promises.pop(request.tag, None)
        if number is not None:
            self._allowance.over(number)
