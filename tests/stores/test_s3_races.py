"""Plans, amendments and hauls that meet on a real S3 server."""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pytest
from object_store import ObjectStore

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.planning.amend_plan import amend_plan
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store import publishing
from skyhaul.planning.store.plan import Plan
from skyhaul.shards import commit_shard as committing
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import PlanMismatch
from skyhaul_schemas.job.file import LoadedJob, parse_job
from stores.s3_server import s3

__all__ = ["s3"]

JOB = """\
version: 1
name: racing
dataset: {dataset}
spool: {folder}/spool-{name}
sources:
  texts: {{url: "{folder}/region/*.txt", format: text}}
shards: {{target_size: 300}}
"""


def write(region: Path, *numbers: int, salt: str = "") -> None:
    region.mkdir(exist_ok=True)
    for number in numbers:
        (region / f"{number}.txt").write_text(f"{number} {salt} " * 100)


class Racing:
    def __init__(self, folder: Path) -> None:
        self.region = folder / "region"
        # Without versions: where there are some, versitygw hides what is put after a delete marker.
        bucket = f"racing-{secrets.token_hex(8)}"
        fsspec.filesystem("s3").mkdir(bucket)
        self._dataset = f"s3://{bucket}/set"
        self._folder = folder

    def job(self, name: str) -> LoadedJob:
        return parse_job(
            JOB.format(dataset=self._dataset, folder=self._folder, name=name), f"{name}.yaml", {}
        )

    def store(self) -> DatasetStore:
        return open_store(self._dataset, writable=True)


@pytest.fixture
def racing(s3: ObjectStore, tmp_path: Path) -> Racing:
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return Racing(tmp_path)


def test_two_first_plans_on_s3_leave_the_plan_of_one(racing: Racing, monkeypatch: pytest.MonkeyPatch) -> None:
    write(racing.region, *range(4))
    keep = publishing.keep_job

    def late(store: DatasetStore, text: str) -> None:
        monkeypatch.setattr(publishing, "keep_job", keep)
        write(racing.region, 4)
        with closing(racing.store()) as other:
            make_plan(racing.job("b"), other)
        keep(store, text)

    monkeypatch.setattr(publishing, "keep_job", late)
    with closing(racing.store()) as store:
        with pytest.raises(PlanMismatch, match="was given another plan at the same time"):
            make_plan(racing.job("a"), store)
        assert make_plan(racing.job("a"), store).objects == 5
        assert store.read_bytes(layout.JOB).decode() == racing.job("b").text
        assert [path for path in store.list(layout.PLAN) if "draft" in path] == []
        assert haul_on_beam(racing.job("a"), store, HaulOptions()).exit_code == 0
        assert verify_dataset(store, deep=True).findings == []


def test_an_amendment_and_a_haul_on_s3_end_with_the_amended_plan(
    racing: Racing, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(racing.region, *range(3))
    commit = committing.write_commit
    done: list[int] = []

    def late(store: DatasetStore, record: CommitRecord) -> CommitRecord:
        standing = commit(store, record)
        if record.sources[0].object == "1.txt" and not done:
            # The haul's record is there, and it has yet to look at the plan again.
            done.append(record.shard)
            store.remove(layout.commit_file(record.shard))
            write(racing.region, 1, salt="changed")
            with closing(racing.store()) as other:
                update = amend_plan(racing.job("b"), other)
                assert update.amended == [record.shard]
            standing = commit(store, record)
        return standing

    monkeypatch.setattr(committing, "write_commit", late)
    with closing(racing.store()) as store:
        outcome = haul_on_beam(racing.job("a"), store, HaulOptions())
        assert outcome.exit_code == 75
        assert outcome.run.deferred_because == {"PlanAmended": 1}
        assert not store.exists(layout.commit_file(done[0]))
        outcome = haul_on_beam(racing.job("a"), store, HaulOptions())
        assert outcome.exit_code == 0
        assert len(outcome.run.set_aside) == 1
        assert verify_dataset(store, deep=True).findings == []
        kept = list(store.list(layout.SET_ASIDE))
        assert len(kept) == 2, "the record and the file as they were"


def test_generations_that_meet_on_s3_leave_one(racing: Racing, monkeypatch: pytest.MonkeyPatch) -> None:
    write(racing.region, *range(3))
    with closing(racing.store()) as store:
        make_plan(racing.job("a"), store)
        write(racing.region, 3)
        publish = store.publish

        def late(local: Path, path: str, sha256: str, **more: Any) -> bool:
            if path == layout.shards_file(1):
                monkeypatch.undo()
                write(racing.region, 4)
                with closing(racing.store()) as other:
                    assert extend_plan(racing.job("b"), other).counts == {"new planned": 2}
            return publish(local, path, sha256, **more)

        monkeypatch.setattr(store, "publish", late)
        with pytest.raises(PlanMismatch, match="by another process at the same time"):
            extend_plan(racing.job("a"), store)
        with closing(Plan.open(store)) as plan:
            assert {obj.path for obj in plan.objects()} == {f"{n}.txt" for n in range(5)}
        assert haul_on_beam(racing.job("a"), store, HaulOptions()).exit_code == 0
        assert verify_dataset(store, deep=True).findings == []
