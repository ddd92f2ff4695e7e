"""A full group's commit records become one file, and nobody who reads them sees a difference."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dataset.crashing import forked
from dataset.many_commits import plan_of_shards, put_records, record_of
from skyhaul.dataset.commits.record_files import (
    commits,
    count_records,
    has_record,
    read_commit,
    recorded_numbers,
    write_commit,
)
from skyhaul.dataset.commits.sealed import SealedGroup, sealed_groups
from skyhaul.dataset.commits.sealing import seal_full_groups, seal_group
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.storage.files import LocalFiles, Step
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import survey
from skyhaul.hauling.lots.pending import Pending
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul.hauling.sealer import Sealer
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord
from skyhaul_schemas.errors import CommitConflict, StorageError

SHARDS = 1_010
UNCOMMITTED = (1_003, 1_005, 1_009)

Committed = tuple[Plan, DatasetStore]


@pytest.fixture
def committed(tmp_path: Path) -> Committed:
    """All of the first group, some of the second."""
    plan, store = plan_of_shards(tmp_path, SHARDS)
    put_records(store, (s for s in plan.shards() if s.number not in UNCOMMITTED))
    return plan, store


def left_of(store: DatasetStore, group: int) -> int:
    return len(list(store.list(f"{layout.COMMITS}/{group:04d}")))


def findings(store: DatasetStore) -> set[str]:
    """Codes of what verify finds, but for the data, which there is none of."""
    return {f.code for f in verify_dataset(store, deep=False).findings} - {"file-missing"}


def test_status_commits_and_single_records_are_the_same_before_and_after(committed: Committed) -> None:
    plan, store = committed
    before = survey(plan, store)
    records = list(commits(store))
    assert (before.shards_committed, before.shards_left) == (SHARDS - 3, 3)
    assert before.damaged_objects == 3

    assert seal_full_groups(plan, store) == 1
    assert sealed_groups(store) == [0]
    assert [left_of(store, group) for group in range(2)] == [0, 7]

    assert survey(plan, store) == before
    assert list(commits(store)) == records
    assert read_commit(store, 77) == records[77]
    assert (has_record(store, 77), has_record(store, 1_003)) == (True, False)
    assert read_commit(store, 1_003) is None
    assert count_records(store) == len(list(recorded_numbers(store))) == SHARDS - 3
    assert not findings(store)


def test_what_is_pending_is_found_without_reading_what_is_sealed(committed: Committed) -> None:
    plan, store = committed
    seal_full_groups(plan, store)
    asked: list[tuple[int, int | None]] = []

    class Asked:
        def shards(self, first: int = 0, stop: int | None = None) -> object:
            asked.append((first, stop))
            return plan.shards(first, stop)

    failed = FailureRecord(
        shard=1_005,
        plan=plan.header.digest,
        source="s",
        kind="ObjectMissing",
        reason="gone",
        attempts=1,
        where="source or link",
        final=True,
        at="2026-01-01T00:00:00.000Z",
    )
    store.replace_bytes(layout.failure_file(1_005), failed.model_dump_json().encode())
    pending = Pending(store, Stretches([(0, SHARDS)]))
    assert [shard.number for shard in pending.shards(Asked())] == [1_003, 1_009]  # type: ignore[arg-type]  # spy
    assert asked == [(1_003, 1_010)]
    replayed = Pending(store, Stretches.of([3, 1_003, 1_005]), again=True)
    assert [shard.number for shard in replayed.shards(plan)] == [1_003, 1_005]
    mended = Pending(store, Stretches.of([3, 1_003]), again=True, mend=True)
    assert [shard.number for shard in mended.shards(plan)] == [3, 1_003]


def test_a_late_worker_finds_its_shard_committed_or_is_refused(committed: Committed) -> None:
    plan, store = committed
    first = read_commit(store, 5)
    seal_full_groups(plan, store)
    late = record_of(plan.shard(5), finished="2026-02-02T00:00:00.000Z")
    assert write_commit(store, late) == first
    with pytest.raises(CommitConflict):
        write_commit(store, late.model_copy(update={"plan": "f" * 64}))
    assert left_of(store, 0) == 0
    assert not findings(store)


def test_a_record_that_is_created_while_its_group_is_sealed_is_taken_back(committed: Committed) -> None:
    plan, store = committed
    first = read_commit(store, 5)

    class Overtaken(LocalFiles):
        """The group is sealed just before the late worker's record gets its name."""

        def before(self, step: Step, path: Path) -> None:
            if step == "link" and path.name == "0000005.json":
                seal_full_groups(plan, store)

    late = open_store(store.url, writable=True, files=Overtaken())
    try:
        record = record_of(plan.shard(5), finished="2026-02-02T00:00:00.000Z")
        assert write_commit(late, record) == first
    finally:
        late.close()
    assert sealed_groups(store) == [0]
    assert left_of(store, 0) == 0
    other = record_of(plan.shard(9)).model_copy(update={"plan": "f" * 64})
    store.create_bytes(layout.commit_file(9), other.model_dump_json().encode())
    assert "commit-twice" in findings(store)


def test_what_a_late_worker_left_is_cleared_by_the_next_haul(committed: Committed) -> None:
    plan, store = committed
    seal_full_groups(plan, store)
    put_records(store, [plan.shard(8), plan.shard(9)])
    other = record_of(plan.shard(10)).model_copy(update={"plan": "f" * 64})
    store.create_bytes(layout.commit_file(10), other.model_dump_json().encode())
    assert survey(plan, store).shards_committed == SHARDS - 3, "none is counted twice"
    assert seal_full_groups(plan, store) == 0
    assert left_of(store, 0) == 1, "what says otherwise stays, for verify to tell"
    assert "commit-twice" in findings(store)


def test_a_group_with_a_record_that_cannot_be_read_is_not_sealed(committed: Committed) -> None:
    plan, store = committed
    store.replace_bytes(layout.commit_file(3), b"{}")
    assert seal_full_groups(plan, store) == 0
    assert left_of(store, 0) == 1_000


def test_two_that_seal_at_once_write_the_same(committed: Committed, tmp_path: Path) -> None:
    plan, store = committed
    ready, go = os.pipe()

    def work() -> None:
        os.read(ready, 1)
        other = open_store(store.url, writable=True)
        seal_full_groups(plan, other)
        other.close()

    children = [forked(work) for _ in range(3)]
    os.write(go, b"...")
    assert [wait() for wait in children] == [0, 0, 0]
    os.close(ready)
    os.close(go)
    assert sealed_groups(store) == [0]
    assert left_of(store, 0) == 0
    assert survey(plan, store).shards_committed == SHARDS - 3


class _Killed(LocalFiles):
    """Kills its process at the nth step of a kind."""

    def __init__(self, step: Step, at: int, when: str) -> None:
        self._wanted, self._left, self._when = step, at, when

    def before(self, step: Step, path: Path) -> None:
        self._count(step, path, "before")

    def after(self, step: Step, path: Path) -> None:
        self._count(step, path, "after")

    def _count(self, step: Step, path: Path, when: str) -> None:
        if (step, when) == (self._wanted, self._when) and path.suffix != ".lock":
            self._left -= 1
            if self._left < 0:
                os.kill(os.getpid(), signal.SIGKILL)


POINTS: list[tuple[Step, int, str]] = [
    ("fsync", 0, "before"),
    ("link", 0, "after"),
    ("unlink", 400, "before"),
]
FURTHER: list[tuple[Step, int, str]] = [
    ("create", 0, "after"),
    ("write", 0, "after"),
    ("link", 0, "before"),
    ("unlink", 0, "after"),
    ("unlink", 1, "after"),
    ("unlink", 1_000, "before"),
]


@pytest.mark.parametrize(
    ("step", "at", "when"),
    [*POINTS, *(pytest.param(*point, marks=pytest.mark.slow) for point in FURTHER)],
)
def test_a_kill_at_any_step_loses_no_record(committed: Committed, step: Step, at: int, when: str) -> None:
    plan, store = committed
    before = survey(plan, store)
    records = list(commits(store))

    def work() -> None:
        seal_group(
            CommitValidator(plan), open_store(store.url, writable=True, files=_Killed(step, at, when)), 0
        )

    assert forked(work)() == -signal.SIGKILL
    assert survey(plan, store) == before
    assert list(commits(store)) == records
    assert not findings(store)
    again = open_store(store.url, writable=True)
    seal_full_groups(plan, again)
    again.close()
    assert sealed_groups(store) == [0]
    assert left_of(store, 0) == 0
    assert survey(plan, store) == before
    assert list(commits(store)) == records


def test_rot_in_a_sealed_file_is_found_and_never_read_as_a_record(committed: Committed) -> None:
    plan, store = committed
    seal_full_groups(plan, store)
    assert store.local_root is not None
    path = store.local_root / layout.sealed_file(0)
    sound = path.read_bytes()
    with SealedGroup(store, 0) as sealed:
        records = sealed.records()
    rotten = 0
    for place in range(5, len(sound), len(sound) // 60):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 0x10]) + sound[place + 1 :])
        kept = None
        with suppress(StorageError), SealedGroup(store, 0) as sealed:
            kept = sealed.records()
        assert kept in (None, records)
        rotten += kept is None
    assert rotten > 40
    path.write_bytes(sound[:-200])
    assert "sealed-damaged" in findings(store)
    seen = survey(plan, store)
    assert [unfit.code for unfit in seen.unfit] == ["sealed-damaged"]
    assert seen.shards_committed == SHARDS - 3, (
        "each record in it proves itself, and is found without a footer"
    )
    assert seen.exit_code() == 75, "others are left"


def test_groups_are_sealed_while_a_haul_goes_on(tmp_path: Path) -> None:
    plan, store = plan_of_shards(tmp_path, 1_100)
    shards = list(plan.shards())
    put_records(store, shards[:990])
    sealed_when: list[int] = []
    with Sealer(plan, store) as sealer:
        for shard in shards[990:1_050]:
            put_records(store, [shard])
            sealer.committed(shard.number)
        _until(lambda: bool(sealed_groups(store)))
        sealed_when = sealed_groups(store)
    assert sealed_when == [0]
    assert left_of(store, 0) == 0
    assert survey(plan, store).shards_committed == 1_050


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
