"""Ranges read at plan time: a read that is cancelled, or meets a bug, harms no other and is told at once."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from skyhaul_connectors.sources.catalogue.blocking import BlockingReader, _OneRange
from skyhaul_connectors.sources.catalogue.loop_thread import LoopThread
from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest
from skyhaul_schemas.errors import ObjectMissing
from skyhaul_schemas.plan import PinnedObject

DATA = bytes(range(200))
OBJECT = PinnedObject("far", "a.bin", len(DATA), "etag:1")


class SlowChannel:
    """Answers ranges in order once `gate` is set, those that nobody waits for any more included."""

    def __init__(self, events: ChannelEvents, gate: threading.Event, asked: threading.Event) -> None:
        self.events = events
        self.gate = gate
        self.asked = asked
        self.queue: list[RangeRequest] = []
        self.is_closed = False
        asyncio.get_running_loop().call_soon(self._turn)

    pipelines = True

    def request(self, request: RangeRequest) -> None:
        self.queue.append(request)
        self.asked.set()

    def close(self) -> None:
        self.is_closed = True
        asyncio.get_running_loop().call_soon(self.events.closed, None)

    def _turn(self) -> None:
        if self.is_closed:
            return
        if self.gate.is_set() and self.queue:
            request = self.queue.pop(0)
            self.events.received(
                request, request.offset, DATA[request.offset : request.offset + request.length]
            )
            self.events.finished(request)
        asyncio.get_running_loop().call_later(0.005, self._turn)


class Slow:
    """A reader over slow channels."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked = threading.Event()
        self.channels: list[SlowChannel] = []
        self.reader = BlockingReader(self._connect)

    def _connect(self, events: ChannelEvents) -> SlowChannel:
        self.channels.append(SlowChannel(events, self.gate, self.asked))
        return self.channels[-1]

    def cancelled_read(self) -> None:
        """As Ctrl-C ends one: `LoopThread.run` cancels its coroutine."""
        future = asyncio.run_coroutine_threadsafe(
            self.reader._tried(RangeRequest(OBJECT, 0, 50, 0)), self.reader._thread._started()
        )
        assert self.asked.wait(5)
        future.cancel()


def test_a_channel_whose_read_was_cancelled_is_closed_and_serves_no_other() -> None:
    slow = Slow()
    slow.cancelled_read()
    slow.gate.set()
    assert slow.reader.read(OBJECT, 100, 50) == DATA[100:150]
    assert [channel.is_closed for channel in slow.channels] == [True, False]
    slow.reader.close()


def test_bytes_of_a_range_that_nobody_waits_for_get_into_no_other() -> None:
    class Telling:
        """Answers the range before, too, behind the next one's asking."""

        pipelines = True

        def __init__(self, owner: _OneRange) -> None:
            self.owner = owner
            self.open: list[RangeRequest] = []

        def request(self, request: RangeRequest) -> None:
            self.open.append(request)
            if len(self.open) == 2:
                asyncio.get_running_loop().call_soon(self._answer)

        def close(self) -> None:
            raise AssertionError

        def _answer(self) -> None:
            for request in self.open:
                data = DATA[request.offset : request.offset + request.length]
                self.owner.received(request, request.offset, data)
                self.owner.finished(request)
            self.owner.failed(self.open[0], ObjectMissing("of the range before"))

    async def main() -> bytes:
        owner = _OneRange()
        owner.channel = Telling(owner)
        before = asyncio.create_task(owner.fetch(RangeRequest(OBJECT, 0, 50, 0)))
        await asyncio.sleep(0)
        before.cancel()
        return await owner.fetch(RangeRequest(OBJECT, 100, 50, 0))

    assert asyncio.run(main()) == DATA[100:150]


def test_a_channel_that_answered_serves_the_next_range() -> None:
    slow = Slow()
    slow.gate.set()
    assert slow.reader.read(OBJECT, 0, 10) == DATA[:10]
    assert slow.reader.read(OBJECT, 10, 10) == DATA[10:20]
    assert len(slow.channels) == 1
    slow.reader.close()


def test_a_bug_in_a_callback_ends_who_waits_on_the_loop() -> None:
    thread = LoopThread("test")

    async def waits() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(60)

    with pytest.raises(ZeroDivisionError):
        thread.run(waits())
    thread.close()


def test_a_broken_connection_that_nobody_awaits_ends_no_other_work(caplog: pytest.LogCaptureFixture) -> None:
    thread = LoopThread("test")

    async def fails() -> None:
        raise ConnectionResetError

    async def works() -> int:
        beside = asyncio.get_running_loop().create_task(fails())
        del beside
        await asyncio.sleep(0.05)
        return 7

    assert thread.run(works()) == 7
    assert "ConnectionResetError" in caplog.text
    thread.close()


def test_what_is_cancelled_without_a_bug_stays_cancelled() -> None:
    thread = LoopThread("test")

    async def ends_itself() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        thread.run(ends_itself())
    thread.close()
