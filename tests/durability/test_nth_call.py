"""Whichever call on files fails while a small haul is planned, hauled, amended, extended, sealed and
mended, nothing wrong is said or left, and the next run ends with the clean run's bytes."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable

import pytest

from durability.nth_call import State, Verdict, judge, states
from durability.scenario import Fault, Rehearsal
from durability.trace import counted

from .conftest import Campaign

SEALING = 3
"""Number of the step that fills a group."""


@pytest.fixture
def judged(rehearsal: Rehearsal) -> Callable[[State], str | None]:
    return lambda state: judge(rehearsal, state).wrong


def test_the_calls_of_python_and_sqlite_are_seen(rehearsal: Rehearsal) -> None:
    """One of each kind that the campaign is about, on each kind of file."""
    seen = {site for clean in rehearsal.steps for site in counted(clean.calls)}
    assert {call for call, _ in seen} >= {
        "open", "mkdir", "pread", "read", "pwrite", "write", "fsync", "fdatasync", "truncate", "link",
        "rename", "unlink", "rmdir", "list",
    }  # fmt: skip
    assert seen >= {
        ("pwrite", "spool/*/0000000.bytes"), ("fdatasync", "spool/*/0000000.bytes"),
        ("pwrite", "spool/*/journal.sqlite-wal"), ("fdatasync", "spool/*/journal.sqlite-wal"),
        ("pwrite", "ledger.sqlite-wal"), ("fdatasync", "ledger.sqlite-wal"),
        ("write", "ds/_skyhaul/tmp-*/*.parquet"), ("fsync", "ds/_skyhaul/tmp-*/*.parquet"),
        ("link", "ds/_skyhaul/commits/0000/0000000.json"), ("link", "ds/_skyhaul/sealed/0000.parquet"),
        ("unlink", "ds/_skyhaul/commits/0000/0000000.json"),
        ("rename", "ds/data/0000/train-0000000-000.parquet"),
        ("link", "ds/_skyhaul/plan/shards-0001.parquet"), ("link", "ds/_skyhaul/plan/shards-0002.parquet"),
    }  # fmt: skip


def test_a_fault_reaches_the_call_that_it_names(rehearsal: Rehearsal) -> None:
    link = Fault("link", "ds/_skyhaul/sealed/0000.parquet", 1, errno.EIO)
    assert judge(rehearsal, State(SEALING, link)).reached
    never = Fault("link", "ds/_skyhaul/sealed/0000.parquet", 2, errno.EIO)
    verdict = judge(rehearsal, State(SEALING, never))
    assert (verdict.reached, verdict.wrong, verdict.code) == (False, None, 0)


def test_some_calls_fail(
    rehearsal: Rehearsal, seed: int, judged: Callable[[State], str | None], campaign: Campaign
) -> None:
    """Of each step one call, by the seed."""
    rng = random.Random(seed)
    found = states(rehearsal, seed)
    chosen = [rng.choice([s for s in found if s.step == step]) for step in range(len(rehearsal.steps))]
    campaign("the n-th call fails, a share", chosen, judged)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_call_fails(rehearsal: Rehearsal, seed: int, campaign: Campaign) -> None:
    found = states(rehearsal, seed)
    random.Random(seed).shuffle(found)
    print(f"{len(found)} states")
    verdicts: list[Verdict] = []

    def judged(state: State) -> str | None:
        verdicts.append(judge(rehearsal, state))
        return verdicts[-1].wrong

    campaign("the n-th call fails", found, judged)
    reached = sum(verdict.reached for verdict in verdicts)
    print(f"{reached} of {len(verdicts)} calls were made and failed; the others came otherwise this time")
    assert reached > 0.9 * len(verdicts)
