"""A dataset on a real S3 server: what is created is never replaced, and never seen half-way."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from object_store import BUCKET, ObjectStore

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.errors import CommitConflict, SkyhaulError
from stores.lossy_proxy import lossy
from stores.s3_server import s3, serve

__all__ = ["s3"]

MIB = 1 << 20
PATH = "_skyhaul/commits/0000/0000001.json"
DATA = "data/0000/train-0000001-000.parquet"


@pytest.fixture
def dataset(s3: ObjectStore) -> str:
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"


def opened(url: str) -> DatasetStore:
    return open_store(url, writable=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def finished_file(store: DatasetStore, data: bytes) -> Path:
    path = store.temp_path(".parquet")
    path.write_bytes(data)
    return path


def test_the_probe_accepts_the_server_and_leaves_nothing(dataset: str) -> None:
    store = opened(dataset)
    store.probe()
    assert list(store.list("")) == []


def test_a_file_is_created_once_and_other_bytes_are_refused(dataset: str) -> None:
    store = opened(dataset)
    assert store.create_bytes(PATH, b"one") is True
    assert store.create_bytes(PATH, b"one") is False
    with pytest.raises(CommitConflict):
        store.create_bytes(PATH, b"two")
    assert store.read_bytes(PATH) == b"one"


@pytest.mark.parametrize(
    "size",
    [100_000, pytest.param(110 * MIB, marks=pytest.mark.slow)],
    ids=["one put", "many parts"],
)
def test_a_shard_file_is_published_once_and_other_bytes_are_refused(dataset: str, size: int) -> None:
    store = opened(dataset)
    ours, theirs = bytes(size), b"x" * size
    assert store.publish(finished_file(store, ours), DATA, sha256(ours)) is True
    assert store.publish(finished_file(store, ours), DATA, sha256(ours)) is False
    with pytest.raises(CommitConflict):
        store.publish(finished_file(store, theirs), DATA, sha256(theirs))
    assert sha256(store.read_bytes(DATA)) == sha256(ours)
    assert store.size(DATA) == size
    with store.open_input(DATA) as file:
        file.seek(size - 10)
        assert file.read() == ours[-10:]
    store.close()


RACING = """
import json, sys
from skyhaul.dataset.storage.opening import open_store
from skyhaul_schemas.errors import CommitConflict
url, data = sys.argv[1], sys.argv[2].encode()
store = open_store(url, writable=True)
store.exists("race/00")  # connected
print("ready", flush=True)
sys.stdin.readline()
outcomes = []
for number in range(8):
    try:
        outcomes.append("created" if store.create_bytes(f"race/{number:02d}", data) else "stood")
    except CommitConflict:
        outcomes.append("refused")
print(json.dumps(outcomes), flush=True)
"""


@pytest.mark.parametrize(
    "same", [pytest.param(True, marks=pytest.mark.slow), False], ids=["equal bytes", "other bytes"]
)
def test_of_processes_that_create_one_key_exactly_one_does(dataset: str, same: bool) -> None:
    # A program of its own each, not multiprocessing: that would import this module, whose name depends on
    # how pytest was started, and all that it imports.
    data = ["x"] * 3 if same else ["0", "1", "2"]
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACING, dataset, mine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for mine in data
    ]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        told = [json.loads(racer.communicate()[0]) for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    store = opened(dataset)
    for number in range(8):
        outcomes = [outcome[number] for outcome in told]
        # The S3 client itself repeats a request whose answer does not come, and then finds its own bytes:
        # who created them is known by the bytes, not by having been told.
        allowed = {mine for mine, outcome in zip(data, outcomes, strict=True) if outcome != "refused"}
        assert outcomes.count("created") <= 1
        assert outcomes.count("refused") == (0 if same else 2), outcomes
        assert allowed == {store.read_bytes(f"race/{number:02d}").decode()}


KILLED_WHILE_PUBLISHING = """
import sys, hashlib
from skyhaul.dataset.storage.opening import open_store
store = open_store(sys.argv[1], writable=True)
path = store.temp_path(".parquet")
data = bytes(120 << 20)
path.write_bytes(data)
print("publishing", flush=True)
store.publish(path, sys.argv[2], hashlib.sha256(data).hexdigest())
print("published", flush=True)
"""


@pytest.mark.slow
def test_a_writer_killed_at_any_point_of_a_large_publish_leaves_all_or_nothing(dataset: str) -> None:
    store = opened(dataset)
    for delay in (0.05, 0.3, 0.8):
        name = f"data/0000/train-{int(delay * 100):07d}-000.parquet"
        writer = subprocess.Popen(
            [sys.executable, "-c", KILLED_WHILE_PUBLISHING, dataset, name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "publishing\n"
        time.sleep(delay)
        os.kill(writer.pid, signal.SIGKILL)
        published = "published" in writer.stdout.read()
        writer.wait()
        if store.exists(name):
            assert store.size(name) == 120 * MIB
        else:
            assert not published
            assert name not in list(store.list("data"))


@pytest.mark.slow
def test_nothing_is_seen_before_the_last_part_is_in(dataset: str) -> None:
    store = opened(dataset)
    writer = subprocess.Popen(
        [sys.executable, "-c", KILLED_WHILE_PUBLISHING, dataset, DATA],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    looks = 0
    while writer.poll() is None:
        if store.exists(DATA):
            assert store.size(DATA) == 120 * MIB
        looks += 1
    assert writer.returncode == 0
    assert store.size(DATA) == 120 * MIB
    assert looks > 3


@pytest.mark.parametrize("times", [1, 3])
def test_a_create_whose_answer_is_lost_is_not_taken_for_a_conflict(
    dataset: str, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    with lossy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        store = opened(dataset)
        store.exists(PATH)
        proxy.lose(f"PUT /{dataset.removeprefix('s3://')}/{PATH} ", times)
        store.create_bytes(PATH, b"one")
        assert proxy.lost == times
        proxy.lose(f"PUT /{dataset.removeprefix('s3://')}/{PATH} ", 1)
        with pytest.raises(CommitConflict):
            store.create_bytes(PATH, b"two")
        assert store.read_bytes(PATH) == b"one"


@pytest.mark.slow
def test_a_large_publish_whose_last_answer_is_lost_is_there_once(
    dataset: str, s3: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(120 * MIB)
    with lossy(s3.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        store = opened(dataset)
        proxy.lose(f"POST /{dataset.removeprefix('s3://')}/{DATA}?uploadId=", 1)
        store.publish(finished_file(store, data), DATA, sha256(data))
        assert proxy.lost == 1
        assert sha256(store.read_bytes(DATA)) == sha256(data)
        store.close()


@pytest.mark.slow  # the store is patient for a minute
def test_a_server_that_is_away_is_one_line_with_the_place(
    dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(SkyhaulError, match=r"s3://hauls/") as failed:
        opened(dataset).create_bytes(PATH, b"one")
    assert len(str(failed.value).splitlines()) == 1


@pytest.mark.slow
def test_minio_keeps_the_same_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve("minio")
    store = next(server)
    try:
        url = f"s3://{BUCKET}/{secrets.token_hex(8)}"
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        test_the_probe_accepts_the_server_and_leaves_nothing(url)
        test_a_file_is_created_once_and_other_bytes_are_refused(url)
        test_a_shard_file_is_published_once_and_other_bytes_are_refused(url, 110 * MIB)
        test_of_processes_that_create_one_key_exactly_one_does(url + "-race", False)
        fsspec.get_filesystem_class("s3").clear_instance_cache()  # the next takes another endpoint
        test_a_large_publish_whose_last_answer_is_lost_is_there_once(url + "-lost", store, monkeypatch)
    finally:
        server.close()
