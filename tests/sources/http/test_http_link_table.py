"""The link table of the fault catalogue, at a channel: one test a row, over a real server on loopback.

Whatever happens, bytes that a channel reports are the object's own (`corrupt` aside, which only a digest
can find), and a range is `finished` only where the answer was exact.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

import pytest
import uvloop

from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from skyhaul_connectors.sources.protocol import Route
from skyhaul_schemas.errors import (
    AccessRefused,
    ConnectFailed,
    ConnectionLost,
    MalformedAnswer,
    NameNotResolved,
    ObjectMissing,
    RangeRefused,
    ServerBusy,
    ServerError,
    SourceChanged,
    StalledError,
)
from sources.http.http_rig import QUICK, pinned, source_for, trust_of
from sources.recording import Outcome, Recorder, fetch

DATA = random.Random(20261122).randbytes(300_000)
PATH = "dir/a b.bin"
OFFSET, LENGTH = 1000, 200_000
ASKED = DATA[OFFSET : OFFSET + LENGTH]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> object:
    return asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer({PATH: DATA, "other.bin": DATA[::-1]}) as server:
        yield server


def ask(
    server: HostileServer, *, offset: int = OFFSET, length: int = LENGTH, factory: object = None
) -> tuple[Outcome, Recorder]:
    """One range over one channel."""
    source = source_for(server)
    with asyncio.Runner(loop_factory=factory) as runner:  # type: ignore[arg-type]  # a factory or None
        outcomes, events = runner.run(fetch(source, [(pinned(server, PATH), offset, length)], linger=0.05))
    outcome = outcomes[0]
    assert DATA[offset : offset + length].startswith(outcome.data), "only the object's own bytes"
    return outcome, events


def test_an_exact_answer_is_finished_with_its_bytes(server: HostileServer, loop_factory: object) -> None:
    outcome, events = ask(server, factory=loop_factory)
    assert outcome.whole == ASKED
    assert events.events[0] == "opened"
    assert events.wire_bytes > LENGTH


@pytest.mark.parametrize("kind", ["reset", "drop"])
def test_a_connection_that_ends_leaves_what_has_arrived(
    server: HostileServer, kind: str, loop_factory: object
) -> None:
    server.faults.always(PATH, HttpFault(kind, after=70_000))
    outcome, events = ask(server, factory=loop_factory)
    assert not outcome.done
    assert isinstance(events.closed_with, ConnectionLost)
    assert len(outcome.data) == 70_000


def test_a_stall_ends_at_the_idle_deadline_and_leaves_what_has_arrived(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("stall", after=70_000))
    start = time.monotonic()
    outcome, events = ask(server)
    assert isinstance(events.closed_with, StalledError)
    assert len(outcome.data) == 70_000
    assert QUICK.idle <= time.monotonic() - start < QUICK.idle * 3


def test_a_half_open_connection_ends_at_the_idle_deadline(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("silent"))
    outcome, events = ask(server)
    assert isinstance(events.closed_with, StalledError)
    assert not outcome.data


@pytest.mark.parametrize("kind", ["slow", "slow-head"])
def test_a_slow_loris_ends_at_the_minimum_rate(server: HostileServer, kind: str) -> None:
    server.faults.always(PATH, HttpFault(kind, after=10, seconds=0.05))
    _, events = ask(server)
    assert isinstance(events.closed_with, StalledError)
    assert "bytes/s" in str(events.closed_with)


def test_a_range_that_takes_too_long_altogether_ends_at_the_total_deadline() -> None:
    with HostileServer({PATH: DATA}, rate=20_000) as server:
        start = time.monotonic()
        outcome, events = ask(server)
    assert isinstance(events.closed_with, StalledError)
    assert "not whole" in str(events.closed_with)
    assert 0 < len(outcome.data) < LENGTH
    assert time.monotonic() - start < QUICK.total * 1.5


def test_corrupted_bytes_are_reported_as_they_came_since_only_a_digest_finds_them(
    server: HostileServer,
) -> None:
    server.faults.always(PATH, HttpFault("corrupt", after=5))
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source_for(server), [(pinned(server, PATH), 0, 1000)]))
    assert outcomes[0].whole != DATA[:1000]


def test_200_for_a_range_is_refused_and_the_body_is_not_read_to_its_end(server: HostileServer) -> None:
    server.objects.replace(PATH, DATA * 100)
    server.faults.always(PATH, HttpFault("ignore-range"))
    outcome, events = ask(server)
    assert isinstance(outcome.error, RangeRefused)
    assert events.is_closed
    assert events.wire_bytes < 1_000_000


def test_200_counts_where_the_range_is_the_whole_object_of_that_length(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("ignore-range"))
    # Pipelining is tried with two halves first, which are parts and refused; without it, 200 is the whole.
    source = source_for(server)
    trust_of(source).broken()
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source, [(pinned(server, PATH), 0, len(DATA))]))
    assert outcomes[0].whole == DATA


@pytest.mark.parametrize("kind", ["wrong-range", "unknown-total", "no-content-range", "multipart"])
def test_another_content_range_is_refused(server: HostileServer, kind: str) -> None:
    server.faults.always(PATH, HttpFault(kind))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, RangeRefused)
    assert not outcome.data


@pytest.mark.parametrize(("kind", "after"), [("short-length", 10), ("long-length", 10)])
def test_another_content_length_is_refused(server: HostileServer, kind: str, after: int) -> None:
    server.faults.always(PATH, HttpFault(kind, after=after))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, RangeRefused)
    assert not outcome.data


def test_two_content_lengths_are_refused(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("two-lengths"))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, MalformedAnswer)
    assert not outcome.data


def test_a_short_body_is_a_lost_connection_and_what_came_stays(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("drop", after=99_999))
    outcome, events = ask(server)
    assert isinstance(events.closed_with, ConnectionLost)
    assert len(outcome.data) == 99_999


def test_bytes_beyond_the_body_close_the_channel(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("long", after=5000))
    _, events = ask(server, length=1)
    assert events.is_closed
    assert isinstance(events.closed_with, MalformedAnswer)


@pytest.mark.parametrize("kind", ["endless", "endless-chunked"])
def test_an_endless_body_is_closed_one_byte_after_the_asked_length(server: HostileServer, kind: str) -> None:
    server.faults.always(PATH, HttpFault(kind))
    outcome, events = ask(server)
    assert isinstance(outcome.error, MalformedAnswer)
    assert len(outcome.data) <= LENGTH
    assert events.is_closed
    assert events.wire_bytes < LENGTH + 300_000


def test_416_is_a_refused_range(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("416"))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, RangeRefused)


def test_an_unasked_content_encoding_is_refused(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("gzip"))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, MalformedAnswer)
    assert not outcome.data
    assert server.ranges(PATH)[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("kind", ["changed-etag", "weak-etag", "no-etag", "wrong-total", "replace"])
def test_another_version_is_source_changed(server: HostileServer, kind: str) -> None:
    server.faults.always(PATH, HttpFault(kind))
    obj = pinned(server, PATH)
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source_for(server), [(obj, OFFSET, LENGTH)]))
    assert isinstance(outcomes[0].error, SourceChanged)
    assert not outcomes[0].data
    assert server.ranges(PATH)[0].headers["if-match"] == obj.version.removeprefix("etag:")


def test_a_version_that_changes_between_two_ranges_is_never_mixed(server: HostileServer) -> None:
    server.faults.on(PATH, None, None, HttpFault("replace"))
    obj = pinned(server, PATH)
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source_for(server), [(obj, 0, 1000), (obj, 1000, 1000)]))
    assert outcomes[0].whole == DATA[:1000]
    assert isinstance(outcomes[1].error, SourceChanged)
    assert not outcomes[1].data


def test_an_object_pinned_by_time_is_asked_for_by_time_and_compared(server: HostileServer) -> None:
    time_then = server.objects.last_modified(PATH)
    obj = pinned(server, PATH, version=f"lm:{time_then}")
    changed = pinned(server, PATH, version="lm:Mon, 01 Jan 2001 00:00:00 GMT")
    with asyncio.Runner() as runner:
        right, _ = runner.run(fetch(source_for(server), [(obj, 0, 1000)]))
        wrong, _ = runner.run(fetch(source_for(server), [(changed, 0, 1000)]))
    assert right[0].whole == DATA[:1000]
    assert server.ranges(PATH)[0].headers["if-unmodified-since"] == time_then
    assert isinstance(wrong[0].error, SourceChanged)


def test_a_size_other_than_the_pinned_one_is_source_changed(server: HostileServer) -> None:
    obj = pinned(server, PATH, version="")
    server.objects.replace(PATH, DATA + b"!")
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source_for(server), [(obj, 0, 1000)]))
    assert isinstance(outcomes[0].error, SourceChanged)


@pytest.mark.parametrize("status", [404, 410])
def test_a_deleted_object_is_missing(server: HostileServer, status: int) -> None:
    server.faults.always(PATH, HttpFault("status", status=status))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, ObjectMissing)


@pytest.mark.parametrize("status", [401, 403])
def test_refused_access_says_so(server: HostileServer, status: int) -> None:
    server.faults.always(PATH, HttpFault("status", status=status))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, AccessRefused)


@pytest.mark.parametrize("kind", ["busy", "too-many"])
def test_429_and_503_are_busy_with_the_seconds_of_retry_after(server: HostileServer, kind: str) -> None:
    server.faults.always(PATH, HttpFault(kind, seconds=7))
    outcome, events = ask(server)
    assert isinstance(outcome.error, ServerBusy)
    assert outcome.error.retry_after == 7.0
    assert events.closed_with is None


def test_retry_after_as_a_date_is_counted_from_the_answers_own_date(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("busy-date", seconds=90))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, ServerBusy)
    assert outcome.error.retry_after is not None
    assert 88 <= outcome.error.retry_after <= 91


@pytest.mark.parametrize("status", [500, 502, 504])
def test_other_server_errors_may_pass(server: HostileServer, status: int) -> None:
    server.faults.always(PATH, HttpFault("status", status=status))
    outcome, _ = ask(server)
    assert isinstance(outcome.error, ServerError)


@pytest.mark.parametrize("kind", ["garbage", "endless-head"])
def test_an_answer_that_is_not_http_is_malformed(server: HostileServer, kind: str) -> None:
    server.faults.always(PATH, HttpFault(kind))
    outcome, events = ask(server)
    assert isinstance(outcome.error, MalformedAnswer)
    assert events.is_closed
    assert events.wire_bytes < 1_000_000


def test_a_failed_answer_leaves_the_channel_usable(server: HostileServer) -> None:
    server.faults.on(PATH, HttpFault("status", status=500), HttpFault("status", status=500))
    obj = pinned(server, PATH)
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source_for(server), [(obj, 0, 1000), (obj, 0, 1000)]))
    assert isinstance(outcomes[0].error, ServerError)
    assert outcomes[1].whole == DATA[:1000]
    assert server.connections == 1


@pytest.mark.parametrize("kind", ["chunked", "interim"])
def test_unusual_but_right_answers_are_taken(server: HostileServer, kind: str, loop_factory: object) -> None:
    server.faults.always(PATH, HttpFault(kind))
    outcome, _ = ask(server, factory=loop_factory)
    assert outcome.whole == ASKED


def test_a_body_that_ends_with_the_connection_is_taken_when_it_is_whole(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("until-close"))
    source = source_for(server)
    obj = pinned(server, PATH)
    outcomes = []
    for _ in range(5):  # the first ones are trials of pipelining, which such a server cannot pass
        with asyncio.Runner() as runner:
            outcomes = runner.run(fetch(source, [(obj, OFFSET, LENGTH)]))[0]
        if outcomes[0].done:
            break
    assert outcomes[0].whole == ASKED


def test_an_announced_last_answer_closes_without_blame(server: HostileServer) -> None:
    server.faults.always(PATH, HttpFault("close"))
    outcome, events = ask(server, length=1)
    assert outcome.whole == DATA[OFFSET : OFFSET + 1]
    assert events.is_closed
    assert events.closed_with is None


def test_no_server_is_connect_failed() -> None:
    with HostileServer({PATH: DATA}) as server:
        source, obj = source_for(server), pinned(server, PATH)
    with asyncio.Runner() as runner:
        _, events = runner.run(fetch(source, [(obj, 0, 10)]))
    assert isinstance(events.closed_with, ConnectFailed)


def test_a_name_that_is_not_resolved_may_be_by_and_by(server: HostileServer) -> None:
    source = source_for("http://no-such-host.invalid/")
    with asyncio.Runner() as runner:
        _, events = runner.run(fetch(source, [(pinned(server, PATH), 0, 10)]))
    assert isinstance(events.closed_with, NameNotResolved)


def test_close_drops_the_connection_and_nothing_follows(server: HostileServer) -> None:
    async def main() -> Recorder:
        events = Recorder()
        channel = source_for(server).connect(events, Route())
        from skyhaul_connectors.sources.protocol import RangeRequest

        events.ask(channel, RangeRequest(pinned(server, PATH), 0, 200_000, 1))
        while not events.outcomes[1].data:
            events.changed.clear()
            await events.changed.wait()
        channel.close()
        await asyncio.sleep(0.1)
        return events

    events = asyncio.run(main())
    assert events.is_closed
    assert events.closed_with is None


def test_a_route_binds_the_source_address_and_replaces_the_base_url(server: HostileServer) -> None:
    source = source_for("http://no-such-host.invalid/data/")
    route = Route(bind="127.0.0.7", base_url=server.url)
    with asyncio.Runner() as runner:
        outcomes, _ = runner.run(fetch(source, [(pinned(server, PATH), 0, 10)], route=route))
    assert outcomes[0].whole == DATA[:10]


def test_a_wall_clock_that_jumps_moves_no_deadline(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaps = iter(range(0, 10**12, 86_400))
    monkeypatch.setattr(time, "time", lambda: next(leaps))
    outcome, events = ask(server)
    assert outcome.whole == ASKED
    server.faults.always(PATH, HttpFault("stall", after=10))
    start = time.monotonic()
    _, events = ask(server)
    assert isinstance(events.closed_with, StalledError)
    assert time.monotonic() - start >= QUICK.idle
