"""The engine for callers that block: a daemon thread with its own loop, and thread-safe methods."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any, TypeVar

from skyhaul_connectors.sources.catalogue.loop_thread import is_ours
from skyhaul_connectors.transfer.background import ThreadBackground
from skyhaul_connectors.transfer.direct_read import VerifiedReads
from skyhaul_connectors.transfer.engine import TransferEngine
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_connectors.transfer.settings import EngineSettings, SourceLanes
from skyhaul_connectors.transfer.snapshot import snapshot
from skyhaul_connectors.transfer.spool.disk import Disk
from skyhaul_connectors.transfer.spool.open_shard import OpenShard
from skyhaul_connectors.transfer.stats import EngineStats
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import DeferredError, Interrupted, StorageError
from skyhaul_schemas.plan import PinnedObject

T = TypeVar("T")

DIRECT_READ = 16 * 1024 * 1024
"""Bytes of one direct read; longer ones go in turn, so that memory stays bounded. Each is a round trip more:
at 50 Mbit/s it takes 2.7 s beside geo's 0.6 s. Chosen, not measured."""

_LOOK_EVERY = 0.1
"""Seconds between two looks whether a wait was cancelled; a segment that comes in ends it at once. Chosen: a
hundredth of the ten seconds in which an interrupted haul has to end."""

_DEMAND_EVERY = 1.0
"""Seconds between two demands for a segment that somebody waits for: whether others still move changes
meanwhile, and only a look at it can tell. Chosen, not measured."""

_FLUSH_WITHIN = 2.0
"""Seconds that `stop` waits for the journal, out of the ten in which an interrupted haul has
to end. What a hung disk has not taken by then is fetched again. Chosen, not measured."""

_REREADS = 3
"""How often a stretch that reads wrong is fetched again before the disk is blamed: as often as what arrives
wrong (`checksum.REFETCHES`). Chosen, not measured."""


class EngineThread:
    """The transfer engine of one process. Any thread may call any method; nobody needs asyncio.

    Raises, on construction, UsageError (the spool is in use), SpoolDamaged, DiskFull or StorageError.
    The threads are daemons: a process that ends does not wait for them, and the journal needs no farewell.
    """

    def __init__(
        self, sources: Mapping[str, SourceLanes], settings: EngineSettings, *, disk: Disk | None = None
    ) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._run, name="skyhaul-engine", daemon=True)
        self._closed = False
        self._close_lock = threading.Lock()
        self._starting: list[OpenShard] = []
        self._thread.start()
        try:
            self._engine = self._on_loop(lambda: self._start(sources, settings, disk))
        except BaseException:
            self._end_loop()
            raise
        self._last_stats = self.stats()

    def fetch(self, shard: int, source: str, segments: Sequence[Segment]) -> ShardFetch:
        """Begin to fetch a shard's segments from a source, in order. Returns at once.

        What an earlier run left in the spool is checked and kept."""
        opened = OpenShard(shard, source, AddressMap(segments))
        fetch = ShardFetch(self, opened)
        if self._closed:
            opened.end(_closed())
            return fetch
        # Counted here until the engine has it: whoever claims next asks for the backlog at once.
        self._starting.append(opened)

        def begin(engine: TransferEngine) -> None:
            engine.begin(opened)
            self._starting.remove(opened)

        self.post(begin)
        return fetch

    def backlog(self, source: str | None = None) -> int:
        """Bytes accepted by `fetch` (of the source) that have not arrived yet."""
        starting = (shard for shard in list(self._starting) if source in (None, shard.source))
        return self._engine.backlog(source) + sum(shard.waiting_bytes for shard in starting)

    def wait_hungry(self, low_water: int, timeout: float, source: str | None = None) -> bool:
        """Wait until the backlog (of the source) is below `low_water` bytes and the spool has room for it.

        Returns:
            Whether that is so, after `timeout` seconds at the latest."""
        until = time.monotonic() + timeout
        while True:
            starting = any(source in (None, shard.source) for shard in list(self._starting))
            if not starting and self.backlog(source) < low_water and self._engine.has_room(source):
                return True
            rest = until - time.monotonic()
            if rest <= 0:
                return False
            # Asked anew, not woken: the backlog falls with each packet, and a wake-up for each would cost the
            # loop more than 40 looks a second. Chosen, not measured.
            time.sleep(min(rest, 0.025))

    def stats(self) -> EngineStats:
        """A snapshot of links, backlog and spool; the last one once the engine is closed."""
        # Closed between the look and the call, it has no newer one.
        with suppress(StorageError):
            self._last_stats = self.call(lambda engine: snapshot(engine, self._loop.time()))
        return self._last_stats

    def stop(self, reason: DeferredError) -> None:
        """End all open fetches with the reason; segments that are in stay readable.

        Returns once the journal holds what had arrived, after two seconds at the latest."""
        flushed = threading.Event()
        self.post(lambda engine: engine.stop(reason, flushed.set))
        flushed.wait(_FLUSH_WITHIN)

    def set_pace(self, link: str, rate: float, *, redial: bool) -> None:
        """Ask for at most `rate` bit/s over `link` from now on.

        Args:
            link: By its name in the job.
            rate: bit/s.
            redial: Drop what is in flight on it, so that a lower rate holds at once."""
        self.post(lambda engine: engine.set_pace(link, rate, redial=redial))

    def allow(self, source: str, connections: int, min_rate: float) -> None:
        """So many connections to the source from now on, which should bring so many bytes a second.

        What is too many is dropped at once."""
        with suppress(StorageError):  # closed: it has none
            self.call(lambda engine: engine.allow(source, connections, min_rate))

    def close(self) -> None:
        """Journal what arrived, let go of the spool, end the threads. Open fetches end as interrupted."""
        with self._close_lock:
            if self._closed:
                return
            self.stop(Interrupted("the engine was closed"))
            self.stats()
            self.call(TransferEngine.close)
            self._closed = True
            self._end_loop()

    def post(self, step: Callable[[TransferEngine], object]) -> None:
        """Have `step` done with the engine on its thread, soon, and return at once; nothing once closed.

        What the step raises is a bug, and ends all fetches."""
        if self._closed:
            return
        try:
            self._loop.call_soon_threadsafe(step, self._engine)
        except RuntimeError:
            return  # closed meanwhile: there is nothing left to tell

    def call(self, step: Callable[[TransferEngine], T]) -> T:
        """Have `step` done with the engine on its thread, and wait for the result.

        Raises what the step raises, and StorageError where the engine is closed."""
        return self._on_loop(lambda: step(self._engine))

    # -- inside

    def _start(
        self, sources: Mapping[str, SourceLanes], settings: EngineSettings, disk: Disk | None
    ) -> TransferEngine:
        journal = ThreadBackground(self._loop, "skyhaul-journal")
        checker = ThreadBackground(self._loop, "skyhaul-checker")
        try:
            engine = TransferEngine(
                sources, settings, loop=self._loop, journal=journal, checker=checker, disk=disk
            )
        except BaseException:
            journal.close()
            checker.close()
            raise

        def crash(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception") or RuntimeError(str(context["message"]))
            if "future" in context and not is_ours(error):
                loop.default_exception_handler(context)  # a library's own task
            else:
                engine.crash(error)

        # The loop would only log what a callback raises, and the fetches would wait for ever.
        self._loop.set_exception_handler(crash)
        return engine

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5.0)

    def _on_loop(self, call: Callable[[], T]) -> T:
        """The result of `call` on the loop's thread."""
        if self._closed:
            raise _closed()
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # noqa: BLE001  # raised again in the caller's thread
                answer.set_exception(error)

        try:
            self._loop.call_soon_threadsafe(run)
        except RuntimeError:  # closed meanwhile
            raise _closed() from None
        while True:
            try:
                return answer.result(timeout=1.0)
            except FutureTimeout:
                if self._closed and not answer.done():
                    raise _closed() from None


class ShardFetch:
    """One shard being fetched. Any thread may call any method."""

    def __init__(self, engine: EngineThread, shard: OpenShard) -> None:
        self._engine = engine
        self._shard = shard
        self._verified = VerifiedReads(self._direct)
        self._changed = threading.Condition()
        self._waiters = 0
        self.while_blocked: Callable[[], AbstractContextManager[None]] = nullcontext
        """Entered where a call has to wait for bytes, left when it goes on."""
        self.on_whole: Callable[[], None] = lambda: None
        """Called from another thread when all is in, or the fetch ended; perhaps more than once."""
        shard.on_change = self._notify

    @property
    def whole(self) -> bool:
        """Whether there is nothing to wait for: all segments are in, or the fetch ended."""
        return self._shard.error is not None or not self._shard.waiting_bytes

    def wait(self, segment: int, cancelled: Callable[[], bool] | None = None) -> None:
        """Block until the segment is in and verified.

        Args:
            segment: By its index.
            cancelled: Asked ten times a second.

        Raises:
            Interrupted: `cancelled` said so.
            CarriageError, StorageError: The fetch ended with it."""
        shard = self._shard
        if shard.is_in(segment):
            return
        next_demand = 0.0
        with self.while_blocked(), self._waiting():
            while not shard.is_in(segment):
                if shard.error is not None:
                    raise shard.error
                if cancelled is not None and cancelled():
                    raise Interrupted(f"shard {shard.number}: cancelled")
                if time.monotonic() >= next_demand:
                    # Again and again: whether others still move is seen when it is looked at.
                    next_demand = time.monotonic() + _DEMAND_EVERY
                    self._engine.post(lambda engine: engine.demand(shard, segment))
                self._changed.wait(_LOOK_EVERY)

    def read(self, segment: int, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of the object, within a segment that is in; held against digests.

        What reads wrong since is fetched again, which blocks.

        Raises:
            CarriageError, StorageError: The fetch ended, or the disk reads wrong again and again.
            ValueError: The bytes are not within the segment."""
        for _ in range(_REREADS):
            if not self._shard.is_in(segment):
                self.wait(segment)
            data, wrong = self._shard.read(segment, offset, length)
            if not wrong:
                return data
            if self._shard.error is not None:
                raise self._shard.error
            # Waited for, not posted: else the next turn finds the segment in, and reads the same bytes again.
            self._engine.call(partial(_reads_wrong, self._shard, wrong))
        raise StorageError(
            f"shard {self._shard.number}: its spool file reads wrong again and again; check the spool's disk"
        )

    def read_through(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of an object, cut at its end, fetched now and kept nowhere.

        Whole blocks cross where their digests are known. Raises CarriageError."""
        stop = min(offset + length, obj.size)
        parts: list[bytes] = []
        while offset < stop:
            part = self._verified.read(obj, offset, stop)
            if not part:
                part = self._direct(obj, offset, min(stop - offset, DIRECT_READ))
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def transfer(self) -> dict[str, TransferCounts]:
        """Bytes by link, earlier runs of the shard included."""
        return self._shard.counts()

    def drop(self, segment: int) -> None:
        """The segment is used up: it may leave the spool if room is needed. Not to be read again."""
        self._engine.post(lambda engine: engine.drop(self._shard, segment))

    def release(self, keep: bool) -> None:
        """The last call.

        Args:
            keep: True (deferred): spool file and journal rows stay for the next run. False (committed, or
                failed for good): they go."""
        self._engine.post(lambda engine: engine.release(self._shard, keep=keep))

    def _direct(self, obj: PinnedObject, offset: int, length: int, *, again: bool = False) -> bytes:
        answer: Future[bytes] = Future()
        self._engine.call(
            lambda engine: engine.read_direct(
                self._shard, obj, offset, length, answer.set_result, answer.set_exception, again=again
            )
        )
        with self.while_blocked():
            return answer.result()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        with self._changed:
            self._waiters += 1
            try:
                yield
            finally:
                self._waiters -= 1

    def _notify(self) -> None:
        """Wake the waiters. A waiter counts itself before it looks, so that none is missed."""
        if self._waiters:
            with self._changed:
                self._changed.notify_all()
        if self.whole:
            self.on_whole()


def _reads_wrong(shard: OpenShard, stretches: Sequence[Stretch], engine: TransferEngine) -> None:
    engine.reads_wrong(shard, stretches)


def _closed() -> StorageError:
    return StorageError("the transfer engine is closed")


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
