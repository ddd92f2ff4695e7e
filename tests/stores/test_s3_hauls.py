"""Whole hauls from a bucket into a dataset on S3: two at once make one dataset, and others can open it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import random
import secrets
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
from object_store import BUCKET, ObjectStore
from tests.hauling.rig import command, skyhaul

from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from stores.s3_server import s3

__all__ = ["s3"]

pytestmark = pytest.mark.timeout(240)  # two programs and an engine start on a busy machine

JOB = """\
version: 1
name: from-s3-to-s3
dataset: {dataset}
spool: spool
sources:
  pages:
    url: s3://{region}/**/*.txt
    format: text
shards: {{target_size: 5kB}}
"""
OBJECTS = 40
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@pytest.fixture
def dataset(s3: ObjectStore, tmp_path: Path) -> str:
    """A dataset's address, with the job for it in `tmp_path`."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    name = secrets.token_hex(8)
    store = fsspec.filesystem("s3")
    for number in range(OBJECTS):
        store.pipe_file(f"{BUCKET}/{name}-region/{number % 3}/{number}.txt", f"{number} page ".encode() * 200)
    (tmp_path / "job.yaml").write_text(
        JOB.format(dataset=f"s3://{BUCKET}/{name}", region=f"{BUCKET}/{name}-region")
    )
    return f"s3://{BUCKET}/{name}"


def test_two_hauls_of_one_plan_make_one_dataset(dataset: str, tmp_path: Path) -> None:
    planned = skyhaul("plan", "job.yaml", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    racers = []
    for name in ("one", "other"):
        folder = tmp_path / name  # each has a spool of its own, as on two machines
        folder.mkdir()
        racers.append(
            subprocess.Popen(
                [command(), "run", "../job.yaml", "--quiet"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    told = [racer.communicate(timeout=200) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0], told
    with closing(open_store(dataset, writable=False)) as store:
        report = verify_dataset(store, deep=True)
        assert report.exit_code() == 0, report.findings
        records = list(commits(store))
        assert len(records) == report.shards > 8
        assert sum(record.records.written for record in records) == OBJECTS
        assert all(store.size(file.path) == file.bytes for record in records for file in record.files)


def test_a_dataset_on_s3_is_certified_until_it_is_damaged(dataset: str, tmp_path: Path) -> None:
    assert skyhaul("run", "job.yaml", "--quiet", cwd=tmp_path).returncode == 0
    engines = ("--engine", "duckdb", "--engine", "polars")
    done = skyhaul("certify", *engines, "--quiet", dataset, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(open_store(dataset, writable=True)) as store:
        certificate = json.loads(store.read_bytes(layout.CERTIFICATE))
        assert set(certificate["engines"]) == {"pyarrow", "duckdb", "polars"}
        rows = [split["rows"] for split in certificate["engines"]["duckdb"]["splits"].values()]
        assert sum(rows) == OBJECTS
        (file, *_) = next(commits(store)).files
        store.replace_bytes(file.path, store.read_bytes(file.path)[:-1] + b"?")
        done = skyhaul("certify", *engines, "--quiet", dataset, cwd=tmp_path)
        assert done.returncode == 4, done.stdout + done.stderr
        assert not store.exists(layout.CERTIFICATE)


@pytest.mark.slow
def test_a_killed_haul_of_a_bucket_over_a_link_goes_on(dataset: str, tmp_path: Path) -> None:
    region = f"{dataset}-big"
    rng = random.Random(5)
    due = {}
    for number in range(8):
        data = rng.randbytes(500_000)
        fsspec.filesystem("s3").pipe_file(f"{region}/{number}.bin", data)
        due[f"{number}.bin"] = hashlib.sha256(data).hexdigest()
    job = tmp_path / "big.yaml"
    job.write_text(
        f"version: 1\nname: big\nschema: blob\ndataset: {dataset}\nspool: spool\n"
        f"sources:\n  bytes: {{url: '{region}/*.bin', format: binary, via: [leo], max_connections: 8}}\n"
        "links:\n  leo: {emulate: true, down: 4Mbit/s, rtt: 45ms, loss: 0.4%}\n"
        "shards: {target_size: 1MB}\n"
    )
    assert skyhaul("plan", job, cwd=tmp_path).returncode == 0
    first = subprocess.Popen([command(), "run", job, "--quiet"], cwd=tmp_path, start_new_session=True)
    with closing(open_store(dataset, writable=False)) as store:
        try:
            end = time.monotonic() + 100
            while not list(commits(store)):
                assert time.monotonic() < end
                assert first.poll() is None
                time.sleep(0.2)
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        done = skyhaul("run", job, "--quiet", cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert verify_dataset(store, deep=True).exit_code() == 0
        records = list(commits(store))
        assert {s.object: s.sha256 for record in records for s in record.sources} == due
        assert sum(t.resent_bytes for record in records for t in record.transfer.values()) < 1_500_000


def test_captions_beside_images_in_a_bucket_come_with_them(dataset: str, tmp_path: Path) -> None:
    region, store = f"{dataset}-pictures", fsspec.filesystem("s3")
    for number in range(12):
        store.pipe_file(f"{region}/{number}.gif", GIF)
        if number % 3:
            store.pipe_file(f"{region}/{number}.txt", f"number {number}".encode())
    job = tmp_path / "pictures.yaml"
    job.write_text(
        f"version: 1\nname: pictures\nschema: image\ndataset: {dataset}\nspool: spool\n"
        f"sources:\n  s: {{url: ['{region}/*.gif', '{region}/*.txt'], decode: {{captions: beside}}}}\n"
        "shards: {target_size: 150B}\n"
    )
    done = skyhaul("run", job, "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    with closing(open_store(dataset, writable=False)) as found:
        assert verify_dataset(found, deep=True).exit_code() == 0
        rows = [
            row
            for record in commits(found)
            for file in record.files
            for row in pq.read_table(io.BytesIO(found.read_bytes(file.path))).to_pylist()
        ]
    assert {row["provenance"]["object"]: row["caption"] for row in rows} == {
        f"{number}.gif": f"number {number}" if number % 3 else None for number in range(12)
    }
