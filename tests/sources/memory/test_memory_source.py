"""The source in memory keeps the protocol's promises, shows each fault, and runs in virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from skyhaul_connectors.sources.memory.faults import (
    CARRIAGE,
    Fault,
    FaultKind,
    FaultScript,
    always,
    in_turn,
    seeded,
)
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    AccessRefused,
    ConnectFailed,
    ConnectionLost,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    ServerBusy,
    ServerError,
    SourceChanged,
    StalledError,
)
from sources.recording import Outcome, Recorder, fetch
from virtual_time import run_virtual

DATA = random.Random(5).randbytes(200_000)


def source_with(faults: FaultScript | None = None, **options: object) -> MemorySource:
    objects = {"a.bin": DATA, "b.bin": DATA[::-1]}
    return MemorySource("memory", objects, faults=faults, **options)  # type: ignore[arg-type]  # its options


def ask(source: MemorySource, *ranges: tuple[int, int]) -> tuple[list[Outcome], Recorder]:
    obj = next(o for o in source.listing() if o.path == "a.bin")
    return run_virtual(fetch(source, [(obj, offset, length) for offset, length in ranges], at_once=True))


def test_ranges_come_back_whole_in_order_and_in_pieces() -> None:
    outcomes, events = ask(source_with(piece=1000), (0, 10_000), (100_000, 100_000), (5, 1))
    assert [o.whole for o in outcomes] == [DATA[:10_000], DATA[100_000:], DATA[5:6]]
    assert events.events.count("received") == 10 + 100 + 1
    assert events.wire_bytes == 110_001


def test_latency_and_rate_pass_in_virtual_time() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        source = source_with(latency=0.6, rate=1000.0)
        await fetch(source, [(next(source.listing()), 0, 5000)])
        return loop.time() - start

    # 0.6 s to connect, 0.6 s until the answer starts, 5 s for its bytes.
    assert run_virtual(main()) == pytest.approx(6.2)


@pytest.mark.parametrize(
    ("kind", "error", "closes"),
    [
        (FaultKind.DROP, ConnectionLost, True),
        (FaultKind.RESET, ConnectionLost, True),
        (FaultKind.STALL, StalledError, True),
        (FaultKind.SHORT, ConnectionLost, False),
        (FaultKind.CHANGE, SourceChanged, False),
        (FaultKind.DELETE, ObjectMissing, False),
        (FaultKind.BUSY, ServerBusy, False),
        (FaultKind.ERROR, ServerError, False),
        (FaultKind.DENY, AccessRefused, False),
        (FaultKind.REFUSE, RangeRefused, False),
        (FaultKind.MALFORMED, MalformedAnswer, False),
    ],
)
def test_each_fault_is_shown(kind: FaultKind, error: type[Exception], closes: bool) -> None:
    source = source_with(in_turn({"a.bin": [Fault(kind, after=7000)]}), timeouts=Timeouts(idle=2.0))
    outcomes, events = ask(source, (0, 20_000))
    assert not outcomes[0].done
    assert DATA.startswith(outcomes[0].data)
    if kind in (FaultKind.DROP, FaultKind.RESET, FaultKind.STALL, FaultKind.SHORT):
        assert len(outcomes[0].data) == 7000
    found = events.closed_with if closes else outcomes[0].error
    assert isinstance(found, error)


def test_a_corrupt_answer_is_finished_with_one_wrong_byte() -> None:
    outcomes, _ = ask(source_with(always({"a.bin": Fault(FaultKind.CORRUPT, after=70_000)})), (0, 100_000))
    got = outcomes[0].whole
    assert [i for i in range(100_000) if got[i] != DATA[i]] == [70_000]


def test_faults_in_turn_end_with_the_list() -> None:
    source = source_with(in_turn({"a.bin": [Fault(FaultKind.ERROR), None, Fault(FaultKind.BUSY)]}))
    outcomes, _ = ask(source, (0, 10), (10, 10), (20, 10), (30, 10))
    assert [o.done for o in outcomes] == [False, True, False, True]


def test_seeded_faults_repeat_and_do_not_depend_on_order() -> None:
    def happened(ranges: list[tuple[int, int]]) -> dict[int, str]:
        source = source_with(seeded(11, 0.5, kinds=(FaultKind.ERROR, FaultKind.BUSY)))
        outcomes, _ = ask(source, *ranges)
        return {offset: type(o.error).__name__ for (offset, _), o in zip(ranges, outcomes, strict=True)}

    ranges = [(i * 100, 100) for i in range(50)]
    first = happened(ranges)
    assert first == happened(ranges[::-1])
    assert 10 < sum(v != "NoneType" for v in first.values()) < 40


@pytest.mark.parametrize("seed", range(25))
def test_whatever_goes_wrong_asking_again_gets_the_right_bytes(seed: int) -> None:
    source = source_with(seeded(seed, 0.7, kinds=CARRIAGE), piece=512, timeouts=Timeouts(idle=1.0))
    for offset in range(0, 20_000, 5000):
        for _ in range(5):
            (outcome,), _ = ask(source, (offset, 5000))
            assert DATA[offset : offset + 5000].startswith(outcome.data)
            if outcome.done:
                break
        assert outcome.whole == DATA[offset : offset + 5000]


def test_a_change_or_removal_under_a_plan_is_noticed() -> None:
    source = source_with()
    a, b = source.listing()
    source.replace("a.bin", b"other")
    source.delete("b.bin")
    outcomes, _ = run_virtual(fetch(source, [(a, 0, 5), (b, 0, 5)]))
    assert isinstance(outcomes[0].error, SourceChanged)
    assert isinstance(outcomes[1].error, ObjectMissing)
    with pytest.raises(SourceChanged):
        source.read_now(a, 0, 5)


def test_refused_connections_are_reported_and_pass() -> None:
    source = source_with(refuse_connects=1)
    _, events = ask(source, (0, 10))
    assert isinstance(events.closed_with, ConnectFailed)
    outcomes, _ = ask(source, (0, 10))
    assert outcomes[0].done


def test_the_log_says_what_went_out_for_each_request() -> None:
    source = source_with(in_turn({"a.bin": [Fault(FaultKind.DROP, after=300)]}))
    ask(source, (1000, 500))
    ask(source, (1000, 500))
    assert [(s.path, s.offset, s.length, s.sent) for s in source.served] == [
        ("a.bin", 1000, 500, 300),
        ("a.bin", 1000, 500, 500),
    ]
