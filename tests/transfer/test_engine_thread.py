"""EngineThread over a real HTTP server: what a conductor calls, from its own threads."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from tests.faults.hostile_http import HostileServer

from skyhaul_connectors.sources.fsspec.source import FsspecFiles
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import ChannelEvents, Route, Source
from skyhaul_connectors.transfer.engine_thread import EngineThread
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_schemas.errors import (
    Interrupted,
    ObjectMissing,
    StorageError,
    UsageError,
)
from skyhaul_schemas.job.model import SourceSpec

from .rig import MIB, PLAN, random_objects

OBJECTS = random_objects(6, [3 * MIB, 0, 20_000, 20_000, MIB + 7, 500])
TOTAL = sum(map(len, OBJECTS.values()))


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(OBJECTS) as running:
        yield running


def http(server: HostileServer, connections: int = 8) -> Source:
    return open_source("far", SourceSpec(url=[server.url], max_connections=connections))


def segments_of(source: Source) -> list[Segment]:
    return [Segment(obj, 0, obj.size) for obj in sorted(source.listing(), key=lambda obj: obj.path)]


def engine_over(source: Source, spool: Path, limit: int = 1 << 40) -> EngineThread:
    lanes = {source.name: SourceLanes((Lane("net", source),), 8)}
    return EngineThread(lanes, EngineSettings(spool, limit, 600.0, PLAN))


def test_a_shard_comes_whole_over_http(tmp_path: Path, server: HostileServer) -> None:
    source = http(server)
    engine = engine_over(source, tmp_path)
    segments = segments_of(source)
    fetch = engine.fetch(0, "far", segments)
    for index, segment in enumerate(segments):
        fetch.wait(index)
        assert fetch.read(index, 0, segment.length) == OBJECTS[segment.object.path]
        if segment.length > 100:
            assert fetch.read(index, 50, 40) == OBJECTS[segment.object.path][50:90]
    assert engine.backlog() == 0
    counts = fetch.transfer()["net"]
    assert counts.payload_bytes == TOTAL
    assert counts.wire_bytes > TOTAL
    stats = engine.stats()
    assert stats.links["net"].payload_bytes == TOTAL
    assert stats.links["net"].state == "up"
    assert stats.low_water >= 32 * MIB
    for index in range(len(segments)):
        fetch.drop(index)
    fetch.release(keep=False)
    engine.close()
    assert list(tmp_path.glob("*/*.bytes")) == []


def test_only_segments_are_spooled_and_the_rest_is_read_through(
    tmp_path: Path, server: HostileServer
) -> None:
    source = http(server)
    engine = engine_over(source, tmp_path)
    obj = segments_of(source)[0].object
    fetch = engine.fetch(0, "far", [Segment(obj, MIB, 1000)])
    fetch.wait(0)
    assert fetch.read(0, MIB, 1000) == OBJECTS[obj.path][MIB : MIB + 1000]
    with pytest.raises(ValueError, match="not within segment"):
        fetch.read(0, MIB - 1, 10)
    assert fetch.read_through(obj, 0, 500) == OBJECTS[obj.path][:500]
    assert fetch.read_through(obj, obj.size - 10, 500) == OBJECTS[obj.path][-10:]
    assert fetch.read_through(obj, obj.size, 500) == b""
    assert fetch.transfer()["net"].payload_bytes == 1000 + 500 + 10
    engine.close()


def test_the_next_run_resumes_what_an_interrupted_one_had(tmp_path: Path) -> None:
    source = MemorySource("far", OBJECTS, latency=0.01, rate=300_000)
    engine = engine_over(source, tmp_path)
    fetch = engine.fetch(0, "far", segments_of(source))
    time.sleep(0.8)
    began = time.monotonic()
    engine.stop(Interrupted("Ctrl-C"))
    assert time.monotonic() - began < 2.0
    with pytest.raises(Interrupted, match="Ctrl-C"):
        fetch.wait(0)
    fetch.release(keep=True)
    engine.close()
    had = sum(served.sent for served in source.served)
    assert had > 300_000

    again = engine_over(source, tmp_path)
    resumed = again.fetch(0, "far", segments_of(source))
    for index, segment in enumerate(segments_of(source)):
        resumed.wait(index)
        assert resumed.read(index, 0, segment.length) == OBJECTS[segment.object.path]
    assert again.stats().resumed_bytes == had
    assert sum(served.sent for served in source.served) == TOTAL
    assert resumed.transfer()["net"].payload_bytes == TOTAL
    again.close()


def test_many_threads_wait_and_read_at_once(tmp_path: Path, server: HostileServer) -> None:
    source = http(server)
    engine = engine_over(source, tmp_path)
    segments = segments_of(source)
    fetches = [engine.fetch(number, "far", segments) for number in range(4)]
    wrong: list[object] = []

    def consume(number: int) -> None:
        try:
            for index, segment in enumerate(segments):
                fetches[number].wait(index, lambda: False)
                if fetches[number].read(index, 0, segment.length) != OBJECTS[segment.object.path]:
                    wrong.append((number, index))
                fetches[number].drop(index)
            fetches[number].release(keep=number % 2 == 0)
        except Exception as error:  # noqa: BLE001  # a thread's failure must reach the test
            wrong.append(error)

    threads = [threading.Thread(target=consume, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    engine.close()
    assert sorted(p.name for p in tmp_path.glob("*/*.bytes")) == ["0000000.bytes", "0000002.bytes"]


def test_waiting_can_be_cancelled(tmp_path: Path) -> None:
    source = MemorySource("far", OBJECTS, latency=3600.0)
    engine = engine_over(source, tmp_path)
    fetch = engine.fetch(0, "far", segments_of(source))
    began = time.monotonic()
    with pytest.raises(Interrupted, match="cancelled"):
        fetch.wait(0, lambda: time.monotonic() - began > 0.2)
    assert time.monotonic() - began < 1.0
    engine.close()
    with pytest.raises(Interrupted, match="closed"):
        fetch.wait(0)
    assert engine.stats().links["net"].payload_bytes == 0
    with pytest.raises(StorageError, match="closed"):
        engine.fetch(1, "far", segments_of(source)).wait(0)


def test_hunger_follows_backlog_and_room(tmp_path: Path) -> None:
    source = MemorySource("far", OBJECTS, latency=0.02)
    engine = engine_over(source, tmp_path, limit=4 * MIB)
    assert engine.wait_hungry(1, 0.0)
    fetch = engine.fetch(0, "far", segments_of(source))
    assert engine.backlog() > 0
    assert not engine.wait_hungry(1, 0.0)
    for index in range(len(OBJECTS)):
        fetch.wait(index)
        fetch.drop(index)
    fetch.release(keep=False)
    assert engine.wait_hungry(1, 5.0)
    engine.close()


def test_a_missing_object_fails_its_shard_alone(tmp_path: Path, server: HostileServer) -> None:
    source = http(server)
    segments = segments_of(source)
    engine = engine_over(source, tmp_path)
    server.objects.delete("object-00004")
    bad = engine.fetch(0, "far", segments[4:5])
    good = engine.fetch(1, "far", segments[:4])
    with pytest.raises(ObjectMissing):
        bad.wait(0)
    for index in range(4):
        good.wait(index)
    engine.close()


def test_a_spool_in_use_is_a_usage_error_and_ends_its_threads(tmp_path: Path) -> None:
    source = MemorySource("far", OBJECTS)
    engine = engine_over(source, tmp_path)
    before = threading.active_count()
    with pytest.raises(UsageError, match="in use by process"):
        engine_over(source, tmp_path)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
    engine.close()


class Faulty(MemorySource):
    """A source with a bug."""

    def connect(self, events: ChannelEvents, route: Route):  # type: ignore[no-untyped-def,override]  # never returns
        raise ZeroDivisionError("a bug in a source")


def test_a_bug_comes_up_where_somebody_waits(tmp_path: Path) -> None:
    source = Faulty("far", OBJECTS)
    engine = engine_over(source, tmp_path)
    fetch = engine.fetch(0, "far", segments_of(source))
    with pytest.raises(ZeroDivisionError, match="a bug in a source"):
        fetch.wait(0)
    engine.close()


@pytest.mark.parametrize(
    "error",
    [
        UsageError("source far: memory:// does not take these options (TypeError)"),
        StorageError("a temporary file cannot be written"),
        MemoryError("no room"),
        ZeroDivisionError("a bug in a filesystem"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_reading_thread_raises_comes_up_where_somebody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Not as a source that is silent: it waited for 30 s, again and again, and told nothing."""
    fsspec.filesystem("memory").pipe_file("/reading-thread/a.bin", b"abc")
    source = open_source("far", SourceSpec(url=["memory://reading-thread/*.bin"]))
    segments = segments_of(source)

    def refused(self: FsspecFiles) -> None:
        raise error

    monkeypatch.setattr(FsspecFiles, "filesystem", refused)
    engine = engine_over(source, tmp_path)
    fetch = engine.fetch(0, "far", segments)
    until = time.monotonic() + 5
    with pytest.raises(type(error), match=re.escape(str(error))):
        fetch.wait(0, lambda: time.monotonic() > until)
    with pytest.raises(type(error)):
        engine.fetch(1, "far", segments).wait(0)
    engine.close()


def test_what_an_engine_did_is_told_after_it_was_closed_by_another_thread(tmp_path: Path) -> None:
    engine = engine_over(MemorySource("far", OBJECTS), tmp_path)
    engine.close()
    engine._closed = False  # as another thread saw it just before
    assert engine.stats() == engine._last_stats
    with pytest.raises(StorageError, match="closed"):
        engine.call(lambda engine: None)


def test_no_thread_is_left_and_none_holds_the_interpreter(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    engine = engine_over(MemorySource("far", OBJECTS), tmp_path)
    ours = set(threading.enumerate()) - before
    assert {thread.name for thread in ours} == {"skyhaul-engine", "skyhaul-journal", "skyhaul-checker"}
    assert all(thread.daemon for thread in ours)
    engine.close()
    engine.close()
    assert not [thread for thread in ours if thread.is_alive()]
