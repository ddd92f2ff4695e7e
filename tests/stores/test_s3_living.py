"""A dataset on a real S3 server that is extended, amended and mended."""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path

import fsspec
from object_store import BUCKET, ObjectStore
from tests.hauling.rig import skyhaul

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulOptions
from skyhaul.planning.amend_plan import amend_plan
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.job.file import parse_job
from stores.s3_server import s3

__all__ = ["s3"]

JOB = """\
version: 1
name: living
dataset: {dataset}
spool: {folder}/spool
sources:
  texts: {{url: "{folder}/region/*.txt", format: text}}
shards: {{target_size: 5kB}}
"""


def write(region: Path, *numbers: int, salt: str = "") -> None:
    region.mkdir(exist_ok=True)
    for number in numbers:
        (region / f"{number}.txt").write_text(f"{number} {salt} " * 200)


def test_a_dataset_on_s3_is_extended_amended_and_mended(s3: ObjectStore, tmp_path: Path) -> None:
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    dataset = f"s3://{BUCKET}/{secrets.token_hex(8)}"
    text = JOB.format(dataset=dataset, folder=tmp_path)
    loaded = parse_job(text, "job.yaml", {})
    region = tmp_path / "region"
    write(region, *range(6))
    with closing(open_store(dataset, writable=True)) as store:
        assert haul_on_beam(loaded, store, HaulOptions()).exit_code == 0
        write(region, 6, 7)
        assert extend_plan(loaded, store).counts == {"new planned": 2}
        write(region, 7, salt="changed")
        assert amend_plan(loaded, store).counts == {"changed pinned-anew": 1}
        assert haul_on_beam(loaded, store, HaulOptions()).exit_code == 0
        with closing(Plan.open(store)) as plan:
            assert [generation.header.kind for generation in plan.generations] == ["plan", "extend", "amend"]
        assert verify_dataset(store, deep=True).exit_code() == 0

        files = [file for record in commits(store) for file in record.files]
        broken = store.read_bytes(files[0].path)[:-1] + b"?"
        store.replace_bytes(files[0].path, broken)
        # Not removed: in a bucket with versions, versitygw hides what is put after a delete marker.
        store.replace_bytes(files[1].path, b"cut")
        assert verify_dataset(store, deep=False).exit_code() == 4
        job = tmp_path / "job.yaml"
        job.write_text(text)
        done = skyhaul("replay", "--damaged", "-q", job, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.startswith("mended: 2 files of 2 shards")
        assert verify_dataset(store, deep=True).exit_code() == 0
        assert store.read_bytes(f"{layout.SET_ASIDE}/{files[0].path}.0") == broken
