"""Pipelining: only towards a server that has proved it, in order, and given up at the first mix-up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from skyhaul_connectors.sources.http.pipelining import Trust
from skyhaul_connectors.sources.http.source import HttpSource
from skyhaul_connectors.sources.protocol import RangeRequest, Route
from skyhaul_schemas.errors import ConnectionLost, ServerError
from sources.http.http_rig import pinned, source_for, trust_of
from sources.recording import Outcome, Recorder, fetch

NAMES = ("a.bin", "b.bin", "c.bin")
DATA = {name: random.Random(name).randbytes(100_000) for name in NAMES}


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer(DATA) as server:
        yield server


def ranges(server: HostileServer, count: int, length: int = 1000) -> list[tuple[object, int, int]]:
    return [(pinned(server, NAMES[i % 3]), i * length, length) for i in range(count)]


def run_fetch(
    source: HttpSource, wanted: list[tuple[object, int, int]], *, at_once: bool
) -> tuple[list[Outcome], Recorder]:
    return asyncio.run(fetch(source, wanted, at_once=at_once))  # type: ignore[arg-type]  # pinned objects


def test_the_first_range_is_asked_for_in_two_halves_and_proves_the_server(server: HostileServer) -> None:
    source = source_for(server)
    outcomes, _ = run_fetch(source, ranges(server, 1), at_once=False)
    assert outcomes[0].whole == DATA["a.bin"][:1000]
    assert [(r.start, r.end) for r in server.ranges()] == [(0, 500), (500, 1000)]
    assert trust_of(source).proven


def test_a_channel_says_that_it_pipelines_only_after_the_proof(server: HostileServer) -> None:
    async def main() -> tuple[bool, bool, bool]:
        source = source_for(server)
        events = Recorder()
        channel = source.connect(events, Route())
        before = channel.pipelines
        events.ask(channel, RangeRequest(pinned(server, "a.bin"), 0, 1000, 0))
        await events.settle()
        after = channel.pipelines
        other = source.connect(Recorder(), Route())
        shared = other.pipelines
        channel.close()
        other.close()
        await asyncio.sleep(0.01)
        return before, after, shared

    assert asyncio.run(main()) == (False, True, True)


def test_many_ranges_at_once_come_back_each_with_its_own_bytes(server: HostileServer) -> None:
    wanted = ranges(server, 99)
    outcomes, _ = run_fetch(source_for(server), wanted, at_once=True)
    for i, outcome in enumerate(outcomes):
        assert outcome.whole == DATA[NAMES[i % 3]][i * 1000 : (i + 1) * 1000]
    assert server.connections == 1


def test_before_the_proof_queued_requests_wait_for_the_answer(server: HostileServer) -> None:
    source = source_for(server)
    trust_of_unproven = trust_of(source)
    trust_of_unproven.broken()
    outcomes, _ = run_fetch(source, ranges(server, 20), at_once=True)
    assert all(outcome.done for outcome in outcomes)
    assert not trust_of_unproven.proven


def test_a_server_that_answers_out_of_order_is_found_out_and_asked_one_by_one(
    server: HostileServer,
) -> None:
    source = source_for(server)
    server.faults.on("a.bin", HttpFault("swap"))
    outcomes, events = run_fetch(source, ranges(server, 1), at_once=True)
    assert not outcomes[0].done
    assert isinstance(events.closed_with, ConnectionLost)
    assert trust_of(source).state is Trust.DENIED
    outcomes, _ = run_fetch(source, ranges(server, 9), at_once=True)
    assert all(outcome.done for outcome in outcomes)


def test_a_server_that_mixes_up_answers_after_its_proof_never_mixes_up_data(
    server: HostileServer,
) -> None:
    source = source_for(server)
    run_fetch(source, ranges(server, 1), at_once=False)
    assert trust_of(source).proven
    server.faults.on("b.bin", HttpFault("swap"))
    outcomes, events = run_fetch(source, ranges(server, 6), at_once=True)
    for i, outcome in enumerate(outcomes):
        assert DATA[NAMES[i % 3]][i * 1000 : (i + 1) * 1000].startswith(outcome.data)
        assert outcome.error is None
    assert isinstance(events.closed_with, ConnectionLost)
    assert trust_of(source).state is Trust.DENIED


def test_a_server_that_hangs_up_after_each_answer_is_left_alone_after_some_trials() -> None:
    with HostileServer(DATA) as server:
        server.faults.always("*", HttpFault("close-unannounced"))
        source = source_for(server)
        finished = 0
        for _ in range(8):
            outcomes, _ = run_fetch(source, ranges(server, 1), at_once=True)
            finished += outcomes[0].done
        assert not trust_of(source).proven
        assert finished >= 4, "after a few trials each single request succeeds"


def test_a_failure_in_a_trial_is_told_once_and_says_nothing_about_order(server: HostileServer) -> None:
    server.faults.on("a.bin", HttpFault("status", status=500))
    source = source_for(server)
    outcomes, events = run_fetch(source, ranges(server, 1), at_once=False)
    assert isinstance(outcomes[0].error, ServerError)
    assert events.events.count("failed") == 1
    assert trust_of(source).state is Trust.UNKNOWN


@pytest.mark.parametrize("kind", ["reset", "drop", "stall", "garbage", "status", "busy", "long", "close"])
def test_a_fault_amid_queued_requests_spoils_none_of_the_others(server: HostileServer, kind: str) -> None:
    source = source_for(server)
    run_fetch(source, ranges(server, 1), at_once=False)
    server.faults.on("b.bin", None, HttpFault(kind, after=300))
    outcomes, events = run_fetch(source, ranges(server, 12), at_once=True)
    assert outcomes[0].done
    for i, outcome in enumerate(outcomes):
        expected = DATA[NAMES[i % 3]][i * 1000 : (i + 1) * 1000]
        assert expected.startswith(outcome.data)
        assert not outcome.done or outcome.data == expected
    if kind in ("status", "busy"):
        assert [i for i, o in enumerate(outcomes) if o.error is not None] == [4]
        assert sum(o.done for o in outcomes) == 11
        assert events.closed_with is None


def test_objects_without_a_validator_are_not_queued_behind_each_other(server: HostileServer) -> None:
    source = source_for(server)
    run_fetch(source, ranges(server, 1), at_once=False)
    a, b = (pinned(server, name, version="") for name in ("a.bin", "b.bin"))
    # The first answer is slow to end: had the second request been sent, the server would have swapped.
    server.faults.on("a.bin", HttpFault("swap"))
    outcomes, _ = run_fetch(source, [(a, 0, 1000), (b, 0, 1000)], at_once=True)
    assert bytes(outcomes[1].data) == b"", "nothing of the other object's answer is taken for it"
    assert bytes(outcomes[0].data) == b""
