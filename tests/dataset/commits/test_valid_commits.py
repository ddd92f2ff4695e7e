"""A commit record counts where it is of its shard and of the plan, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.many_commits import plan_of_shards, put_records, record_of
from dataset.standing_of import committed_shards, failures
from skyhaul.dataset.commits.record_files import write_failure
from skyhaul.dataset.commits.sealed import SealedGroup, is_sealed, salvaged, write_sealed
from skyhaul.dataset.commits.sealing import seal_full_groups, seal_group
from skyhaul.dataset.commits.valid_commits import is_committed, valid_commits
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey, unfit_lines
from skyhaul.hauling.lots.pending import Pending
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul.verification.damage import clear_misplaced
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord
from skyhaul_schemas.self_digest import digested_line

SHARDS = 6
FULL = 1_002


def another_shard(plan: Plan) -> bytes:
    return record_of(plan.shard(5)).to_line()


def another_plan(plan: Plan) -> bytes:
    return record_of(plan.shard(3)).model_copy(update={"plan": "0" * 64}).to_line()


def another_source(plan: Plan) -> bytes:
    return record_of(plan.shard(3)).model_copy(update={"source": "t"}).to_line()


def rotten(plan: Plan) -> bytes:
    return record_of(plan.shard(3)).to_line().replace(b'"wire_bytes":1050', b'"wire_bytes":1051')


def no_hex(plan: Plan) -> bytes:
    """As an earlier version would have written it, without a digest."""
    record = json.loads(record_of(plan.shard(3)).to_line())
    del record["digest"]
    record["sources"][0]["sha256"] = "?" + record["sources"][0]["sha256"][1:]
    return json.dumps(record).encode()


def uneven(plan: Plan) -> bytes:
    record = json.loads(record_of(plan.shard(3)).to_line())
    record["records"]["passed_over"] = 7
    return digested_line(record)


def changed(plan: Plan, **change: object) -> bytes:
    """As an earlier version would have written it, and rotten since."""
    record = json.loads(record_of(plan.shard(3)).to_line())
    del record["digest"]
    record.update(change)
    return json.dumps(record).encode()


def misfiled(plan: Plan) -> bytes:
    files = json.loads(record_of(plan.shard(3)).to_line())["files"]
    files[0]["path"] = layout.data_file(5, "train", 0)
    return changed(plan, files=files)


UNFIT: list[tuple[Callable[[Plan], bytes], str]] = [
    (lambda plan: b"", "commit-unreadable"),
    (lambda plan: b"{}", "commit-unreadable"),
    (lambda plan: b"\x80 garbage", "commit-unreadable"),
    (rotten, "commit-unreadable"),
    (no_hex, "commit-unreadable"),
    (uneven, "counts-differ"),
    (another_shard, "commit-misplaced"),
    (another_plan, "commit-of-another-plan"),
    (another_source, "commit-of-another-source"),
    (misfiled, "file-misnamed"),
    (lambda plan: changed(plan, files=[]), "counts-differ"),
]


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, DatasetStore]:
    plan, store = plan_of_shards(tmp_path_factory.mktemp("six"), SHARDS)
    put_records(store, plan.shards())
    return plan, store


@pytest.mark.parametrize(("made", "code"), UNFIT)
def test_a_record_that_does_not_fit_stands_for_no_shard(
    six: tuple[Plan, DatasetStore], made: Callable[[Plan], bytes], code: str
) -> None:
    plan, store = six
    path = layout.commit_file(3)
    store.replace_bytes(path, made(plan))
    try:
        seen = survey(plan, store)
        assert (seen.shards_committed, seen.shards_left, seen.shards_blocked) == (SHARDS - 1, 1, 1)
        assert [(unfit.code, unfit.path, unfit.shard) for unfit in seen.unfit] == [(code, path, 3)]
        assert seen.exit_code() == 4
        (line,) = unfit_lines(seen)
        assert path in line
        assert "`skyhaul replay --damaged`" in line
        assert set(committed_shards(store)) == {0, 1, 2, 4, 5}
        assert [record.shard for record in valid_commits(plan, store)] == [0, 1, 2, 4, 5]
        assert not is_committed(CommitValidator(plan), store, 3)
        assert list(Pending(store, Stretches([(0, SHARDS)])).shards(plan)) == [], "it could not be committed"
        found = [finding for finding in verify_dataset(store, deep=False).findings if finding.path == path]
        assert [finding.code for finding in found] == [code]
        assert "`skyhaul replay --damaged`" in found[0].message
        write_failure(store, failure_of(plan, 3))
        assert [failure.shard for failure in failures(store)] == [3], "it is not committed"
    finally:
        store.remove(layout.failure_file(3))
        store.replace_bytes(path, record_of(plan.shard(3)).to_line())


@pytest.mark.parametrize(
    "path",
    [
        layout.commit_file(99),
        layout.commit_file(4_000),
        "_skyhaul/commits/0001/0000003.json",
        "_skyhaul/commits/0000/0000003 (copy).json",
        "_skyhaul/commits/0000/3.json",
    ],
)
def test_a_record_of_no_shard_of_the_plan_is_told_and_set_aside(tmp_path: Path, path: str) -> None:
    plan, store = plan_of_shards(tmp_path, SHARDS)
    put_records(store, (shard for shard in plan.shards() if shard.number != 3))
    store.create_bytes(path, record_of(plan.shard(3)).to_line())
    seen = survey(plan, store)
    assert (seen.shards_committed, seen.shards_left, seen.exit_code()) == (SHARDS - 1, 1, 75)
    assert [unfit.path for unfit in seen.unfit] == [path]
    assert [shard.number for shard in Pending(store, Stretches([(0, SHARDS)])).shards(plan)] == [3]
    put_records(store, [plan.shard(3)])
    seen = survey(plan, store)
    assert (seen.shards_left, seen.exit_code()) == (0, 4)
    assert path in {finding.path for finding in verify_dataset(store, deep=False).findings}
    assert [gone.path for gone in clear_misplaced(plan, store)] == [path]
    assert survey(plan, store).unfit_total == 0
    assert store.exists(f"{layout.SET_ASIDE}/{path}.0")


def failure_of(plan: Plan, shard: int) -> FailureRecord:
    return FailureRecord(
        shard=shard, plan=plan.digest_of(shard), source="s", kind="ObjectMissing", reason="gone", attempts=1,
        where="source or link", final=True, at="2026-01-01T00:00:00.000Z",
    )  # fmt: skip


def test_records_of_before_there_were_digests_stand_and_verify_says_what_they_cannot_prove(
    tmp_path: Path,
) -> None:
    plan, store = plan_of_shards(tmp_path, SHARDS)
    for shard in plan.shards():
        old = json.loads(record_of(shard).to_line())
        for name in ("digest", "passed_over_by", "passed_over_first"):
            del old[name]
        del old["records"]["passed_over"]
        store.create_bytes(layout.commit_file(shard.number), json.dumps(old).encode())
    assert survey(plan, store).unfit_total == 0
    report = verify_dataset(store, deep=False)
    assert {finding.code for finding in report.findings} == {"file-missing"}, "there is no data here"
    assert report.without_digest == report.to_json()["without_digest"] == {"commit records": SHARDS}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, DatasetStore, bytes, Survey]:
    """A sealed group and two shards more; the sealed file's bytes."""
    plan, store = plan_of_shards(tmp_path_factory.mktemp("full"), FULL)
    put_records(store, plan.shards())
    assert seal_full_groups(plan, store) == 1
    return plan, store, store.read_bytes(layout.sealed_file(0)), survey(plan, store)


def resealed(plan: Plan, store: DatasetStore, sound: bytes, record: bytes | None, **change: object) -> bytes:
    """The sealed file with another record of shard 3, under the sums that it had but for `change`."""
    store.replace_bytes(layout.sealed_file(0), sound)
    with SealedGroup(store, 0) as sealed:
        rows, sums = sealed.records(), sealed.sums
    if record is not None:
        rows[3] = record
    file = write_sealed(store, rows, sums.model_copy(update=change))
    data = file.path.read_bytes()
    file.discard()
    return data


def test_a_sealed_group_of_another_plan_stands_for_none_of_its_shards(
    full: tuple[Plan, DatasetStore, bytes, Survey], tmp_path: Path
) -> None:
    plan, store, sound, whole = full
    other_plan, other = plan_of_shards(tmp_path, FULL + 1)
    put_records(other, other_plan.shards())
    seal_full_groups(other_plan, other)
    store.replace_bytes(layout.sealed_file(0), other.read_bytes(layout.sealed_file(0)))
    seen = survey(plan, store)
    assert (seen.shards_committed, seen.shards_blocked, seen.exit_code()) == (2, 1000, 4)
    assert [unfit.code for unfit in seen.unfit] == ["commit-of-another-plan"]
    codes = {finding.code for finding in verify_dataset(store, deep=False).findings}
    assert "commit-of-another-plan" in codes
    store.replace_bytes(layout.sealed_file(0), sound)
    assert survey(plan, store) == whole


def test_a_foreign_record_in_a_sealed_group_stands_for_no_shard(
    full: tuple[Plan, DatasetStore, bytes, Survey],
) -> None:
    """Under the sums of before (which then are not those of the file), and under sums of its own."""
    plan, store, sound, whole = full
    foreign = another_plan(plan)
    swapped = resealed(plan, store, sound, foreign)
    rows_alone = sound[: len(sound) // 2] + bytes([sound[len(sound) // 2] ^ 1]) + sound[len(sound) // 2 + 1 :]
    runs = [(0, plan.header.digest), (3, "0" * 64), (4, plan.header.digest)]
    for data, committed in (
        (resealed(plan, store, sound, foreign, plans=runs), 999 + 2),
        (resealed(plan, store, sound, foreign, plans=None), 999 + 2),
        (rows_alone, None),
        (sound[:-30], 1000 + 2),
        (b"", 2),
    ):
        store.replace_bytes(layout.sealed_file(0), data)
        seen = survey(plan, store)
        assert seen.unfit_total == 1
        assert seen.exit_code() in (3, 4)
        assert committed in (None, seen.shards_committed)
        assert verify_dataset(store, deep=False).exit_code() == 4
    store.replace_bytes(layout.sealed_file(0), swapped)
    assert "sealed-sums" in {finding.code for finding in verify_dataset(store, deep=False).findings}
    store.replace_bytes(layout.sealed_file(0), sound)
    assert survey(plan, store) == whole


def test_a_group_that_an_earlier_version_sealed_is_read_and_told(
    full: tuple[Plan, DatasetStore, bytes, Survey],
) -> None:
    plan, store, sound, whole = full
    store.replace_bytes(layout.sealed_file(0), resealed(plan, store, sound, None, plans=None, by_source=None))
    assert survey(plan, store) == whole
    assert verify_dataset(store, deep=False).without_digest == {"sealed files": 1}
    store.replace_bytes(layout.sealed_file(0), sound)


def test_records_are_found_in_a_sealed_file_without_its_footer(
    full: tuple[Plan, DatasetStore, bytes, Survey],
) -> None:
    plan, store, sound, whole = full
    store.replace_bytes(layout.sealed_file(0), sound[:-40])
    assert len(salvaged(store, 0)) == 1000
    gone = clear_misplaced(plan, store)
    assert [broken.path for broken in gone] == [layout.sealed_file(0)]
    assert not is_sealed(store, 0)
    assert survey(plan, store) == whole
    assert seal_full_groups(plan, store) == 1
    assert store.read_bytes(layout.sealed_file(0)) == sound


def test_a_record_beside_a_sealed_group_that_says_otherwise_is_told_and_set_aside(
    full: tuple[Plan, DatasetStore, bytes, Survey],
) -> None:
    plan, store, _, whole = full
    store.create_bytes(layout.commit_file(3), another_plan(plan))
    put_records(store, [plan.shard(4)])
    seen = survey(plan, store)
    assert (seen.shards_committed, seen.exit_code()) == (FULL, 4)
    assert [(unfit.code, unfit.shard) for unfit in seen.unfit] == [("commit-twice", 3)]
    assert [gone.path for gone in clear_misplaced(plan, store)] == [layout.commit_file(3)]
    assert survey(plan, store) == whole
    seal_full_groups(plan, store)
    assert not store.exists(layout.commit_file(4))


def test_what_does_not_stand_is_not_sealed(full: tuple[Plan, DatasetStore, bytes, Survey]) -> None:
    plan, store, _, whole = full
    store.remove(layout.sealed_file(0))
    put_records(store, plan.shards(0, 1000))
    store.replace_bytes(layout.commit_file(3), another_plan(plan))
    assert not seal_group(CommitValidator(plan), store, 0)
    assert survey(plan, store).shards_committed == FULL - 1
    put_records(store, [plan.shard(3)])
    assert seal_group(CommitValidator(plan), store, 0)
    assert survey(plan, store) == whole


def test_files_that_no_commit_speaks_of_are_told_and_set_aside(tmp_path: Path) -> None:
    """Those that another dataset's copy leaves, beside those that a crash leaves before a commit."""
    plan, store = plan_of_shards(tmp_path, SHARDS)
    put_records(store, (shard for shard in plan.shards() if shard.number != 3))
    strays = {
        layout.data_file(2, "train", 700),
        layout.data_file(99, "train", 0),
        layout.data_file(4_000, "train", 0),
        layout.rejects_file(99),
        f"{layout.DATA}/0000/other.parquet",
        f"{layout.DATA}/notes.txt",
    }
    crashed = layout.data_file(3, "train", 0)
    for path in (*strays, crashed):
        store.create_bytes(path, b"rows")
    found = verify_dataset(store, deep=False).findings
    assert {finding.path for finding in found if finding.code == "stray-file"} == strays
    assert all("`skyhaul replay --damaged`" in f.message for f in found if f.code == "stray-file")
    assert clear_misplaced(plan, store, frozenset({2})) == [], "shards were named"
    assert {gone.path for gone in clear_misplaced(plan, store)} == strays
    assert store.read_bytes(crashed) == b"rows"
    assert all(store.read_bytes(f"{layout.SET_ASIDE}/{path}.0") == b"rows" for path in strays)
    assert not [f for f in verify_dataset(store, deep=False).findings if f.code == "stray-file"]


def test_a_group_that_is_sealed_while_it_is_verified_stays_committed(tmp_path: Path) -> None:
    plan, store = plan_of_shards(tmp_path, FULL)
    put_records(store, plan.shards())
    before = verify_dataset(store, deep=False).shards_committed
    read = store.read_bytes

    def sealed_meanwhile(path: str) -> bytes:
        if path == layout.commit_file(400):
            store.read_bytes = read  # type: ignore[method-assign]
            assert seal_full_groups(plan, store) == 1
        return read(path)

    store.read_bytes = sealed_meanwhile  # type: ignore[method-assign]
    assert verify_dataset(store, deep=False).shards_committed == before == FULL
    assert is_sealed(store, 0)
