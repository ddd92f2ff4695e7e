"""Rows of a dataset on S3, and datasets made of them there."""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path

import fsspec
import pytest
from object_store import BUCKET, ObjectStore
from tests.beam.pipelines import pipeline, take

from dataset.hauled import Hauled, digests, plan_small, write_region
from skyhaul.beam import DescribeRows, ReadShards, ReshardRows
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from stores.moto_server import key_store

__all__ = ["key_store"]

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def hauled(key_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hauled:
    for name, value in key_store.environment().items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    made = plan_small(tmp_path, write_region(tmp_path / "region", lines=60))
    made.haul()
    return made


def test_a_shuffle_from_disk_to_s3_and_on_has_the_bytes_of_one_on_disk(
    hauled: Hauled, tmp_path: Path
) -> None:
    place = f"s3://{BUCKET}/{secrets.token_hex(8)}"
    for into in (str(tmp_path / "here"), f"{place}/first"):
        with pipeline() as p:
            p | ReshardRows(str(hauled.root), into, seed=7, target_size="20kB")
    with pipeline(workers=2, repeat=1) as p:
        p | ReshardRows(f"{place}/first", f"{place}/second", seed=7, target_size="20kB")
    with closing(open_store(f"{place}/first", writable=False)) as store:
        report = verify_dataset(store, deep=True)
        assert report.exit_code() == 0, report.findings
        here = digests(tmp_path / "here", "data")
        assert {path: store.digest(path) for path in store.list(layout.DATA)} == here
        assert list(store.list(layout.SHUFFLE)) == []
    with closing(open_store(f"{place}/second", writable=False)) as store:
        assert verify_dataset(store, deep=True).exit_code() == 0
    with pipeline() as p:
        taken = take(p | ReadShards(f"{place}/first", provenance=["dataset"]))
        described = take(p | DescribeRows(f"{place}/second"))
    assert len(taken) == report.rows == described[0]["all"]["rows"]
    assert {row.dataset for row in taken} == {f"{place}/first"}
