"""An HTTP channel without a network: bytes are fed to it in pieces, what it sends is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from skyhaul_connectors.sources.http.channel import HttpChannel
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.protocol import RangeRequest, Route
from skyhaul_schemas.plan import PinnedObject
from sources.http.http_rig import source_for, trust_of
from sources.recording import Recorder


class FakeTransport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


class FedChannel:
    """A channel of a source at http://test.invalid/, its connection opened at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, proven: bool) -> None:
        self.events = Recorder()
        self.transport = FakeTransport()
        self.protocol: Any = None
        source = source_for("http://test.invalid/")
        trust = trust_of(source)
        trust.begin_trial()
        if proven:
            trust.passed()
        else:
            trust.broken()

        async def dial(network: Network, factory: Callable[[], Any], *args: Any, **kwargs: Any) -> None:
            self.protocol = factory()
            self.protocol.connection_made(self.transport)

        monkeypatch.setattr(Network, "dial", dial)
        self.channel: HttpChannel = source.connect(self.events, Route())

    def ask(self, requests: Sequence[RangeRequest]) -> None:
        for request in requests:
            self.events.ask(self.channel, request)

    def feed(self, data: bytes) -> None:
        """As the loop does: into the protocol's buffer, then told how much."""
        buffer = self.protocol.get_buffer(-1)
        assert len(data) <= len(buffer)
        buffer[: len(data)] = data
        self.protocol.buffer_updated(len(data))

    def end(self) -> None:
        """The server's end of the connection."""
        self.protocol.eof_received()
        self.protocol.connection_lost(None)

    def report(self) -> list[tuple[int, bytes, bool, str, str]]:
        """What became of each request, whatever pieces it came in; and last the channel."""
        rows = [
            (tag, bytes(o.data), o.done, type(o.error).__name__, str(o.error))
            for tag, o in sorted(self.events.outcomes.items())
        ]
        closed = self.events.closed_with
        return [*rows, (-1, b"", self.events.is_closed, type(closed).__name__, str(closed))]


def requests_for(objects: Sequence[tuple[PinnedObject, int, int]]) -> list[RangeRequest]:
    return [RangeRequest(obj, offset, length, tag) for tag, (obj, offset, length) in enumerate(objects)]
