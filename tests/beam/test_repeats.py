"""What a haul gives is a function of its plan: the same again when a bundle is repeated, or the haul is."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from tests.beam.rig import ADAPTERS, committed, counters, job_of, pipeline, planned, write_texts

from skyhaul.beam import Haul, Receipt
from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.preparation import prepare_haul
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout

SHARDS = 6


def told(receipt: Receipt) -> tuple[int, str, bool, int, str]:
    return receipt.shard, receipt.outcome, receipt.fresh, receipt.written, ",".join(receipt.files)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    texts = write_texts(tmp_path / "texts", SHARDS)
    return job_of(tmp_path / "haul", {"texts": {"url": str(texts / "*.txt")}})


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_repeated_bundle_gives_each_receipt_once_and_the_counters_of_the_dataset(
    adapter: str, job: Path
) -> None:
    with pipeline(repeat=1) as made:
        haul = made | Haul(str(job), adapter=adapter, parallelism=2)  # type: ignore[arg-type]
        found = haul.shards | beam.Map(told)
        assert_that(found, equal_to([(n, "committed", True, 1, name(n)) for n in range(SHARDS)]))
    records = committed(job)
    assert len(records) == SHARDS
    assert counters(made.result).items() >= {
        ("shards_committed", SHARDS),
        ("written", sum(record.records.written for record in records.values())),
        ("source_bytes", 4_000 * SHARDS),
    }


def name(shard: int) -> str:
    return layout.data_file(shard, "train", 0)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_haul_that_goes_on_gives_what_stands_too_and_counts_what_is_fresh(adapter: str, job: Path) -> None:
    with pipeline() as made:
        made | Haul(str(job))
    lost = 4
    (job.parent / "out" / layout.commit_file(lost)).unlink()
    with pipeline() as made:
        haul = made | Haul(str(job), adapter=adapter, parallelism=2)  # type: ignore[arg-type]
        due = [(n, "committed", n == lost, 1, name(n)) for n in range(SHARDS)]
        assert_that(haul.shards | beam.Map(told), equal_to(due))
        sums = haul.summary | "Sums" >> beam.Map(
            lambda s: (s.shards, s.committed, s.fresh, s.written, s.complete)
        )
        assert_that(sums, equal_to([(SHARDS, SHARDS, 1, SHARDS, True)]), "sums")
    assert counters(made.result)["shards_committed"] == 1
    assert counters(made.result)["written"] == 1


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_failed_for_good_is_told_again_until_it_is_replayed(adapter: str, job: Path) -> None:
    planned(job)
    (job.parent.parent / "texts" / "002.txt").write_text("changed since it was planned")
    for fresh in (True, False):
        with pipeline(repeat=1) as made:
            haul = made | Haul(str(job), adapter=adapter)  # type: ignore[arg-type]
            failed = haul.failed | beam.Map(lambda r: (r.kind, r.attempts, r.fresh))
            assert_that(failed, equal_to([("SourceChanged", 1, fresh)]))
            sums = haul.summary | "Sums" >> beam.Map(lambda s: (s.committed, s.failed, s.deferred))
            assert_that(sums, equal_to([(SHARDS - 1, 1, 0)]), "sums")
        assert counters(made.result).get("shards_failed", 0) == int(fresh)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_replay_gives_receipts_of_its_shards_alone(adapter: str, job: Path) -> None:
    config = prepare_haul(job, HaulOptions(only=frozenset({1, 4})))
    with pipeline() as made:
        haul = made | Haul(config, adapter=adapter)  # type: ignore[arg-type]
        assert_that(haul.shards | beam.Map(lambda r: r.shard), equal_to([1, 4]))
        assert_that(
            haul.summary | "Sums" >> beam.Map(lambda s: (s.shards, s.complete)), equal_to([(2, True)]), "s"
        )
    assert sorted(committed(job)) == [1, 4]


def test_a_record_that_stands_for_no_shard_is_told_as_a_failure(job: Path) -> None:
    with pipeline() as made:
        made | Haul(str(job))
    record = job.parent / "out" / layout.commit_file(3)
    record.write_bytes(record.read_bytes()[:-40])
    with pipeline() as made:
        haul = made | Haul(str(job))
        failed = haul.failed | beam.Map(
            lambda r: (r.shard, r.kind, r.fresh, layout.commit_file(3) in r.reason)
        )
        assert_that(failed, equal_to([(3, "RecordDamaged", False, True)]))


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[int, int]]:
    """A job whose first thousand shards are hauled and sealed, and what was written of each shard."""
    folder = tmp_path_factory.mktemp("sealed")
    lines = folder / "lines.jsonl"
    lines.write_text("".join(f'{{"text": "{n:06d}"}}\n' for n in range(1_005)))
    rows = {"format": "jsonl", "fields": {"text": "text"}, "url": str(lines)}
    job = job_of(folder / "haul", {"rows": rows}, shards={"target_size": "19B", "chunk_size": "19B"})
    with pipeline() as made:
        made | Haul(str(job))
    store = open_store(str(job.parent / "out"), writable=True)
    with closing(store), closing(Plan.open(store)) as plan:
        seal_full_groups(plan, store, lambda: False)
        written = {record.shard: record.records.written for record in commits(store)}
    assert len(written) > len(layout.shards_of(0))
    assert not (job.parent / "out" / layout.commit_file(7)).exists()
    return job, written


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_of_a_sealed_group_one_file_is_read(
    adapter: str, sealed: tuple[Path, dict[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job, written = sealed
    opened: list[str] = []
    store = type(open_store(str(job.parent / "out"), writable=False))
    read_bytes = store.read_bytes

    def noted(self: DatasetStore, path: str) -> bytes:
        opened.append(path)
        return read_bytes(self, path)

    config = prepare_haul(job, HaulOptions())
    monkeypatch.setattr(store, "read_bytes", noted)
    with pipeline() as made:
        haul = made | Haul(config, adapter=adapter)  # type: ignore[arg-type]
        seen = haul.shards | beam.Map(lambda r: (r.shard, r.written, r.fresh))
        assert_that(seen, equal_to([(shard, count, False) for shard, count in written.items()]))
    records = [path for path in opened if path.startswith(layout.COMMITS)]
    assert len(records) == len(written) - len(layout.shards_of(0))
