"""An S3 bucket as a source, on a real S3 server: listed page by page, pinned by ETag, read with If-Match."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator

import fsspec
import pytest
from object_store import BUCKET, ObjectStore

from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.s3 import files as s3_files
from skyhaul_schemas.errors import ObjectMissing, SourceChanged, UsageError
from skyhaul_schemas.job.model import SourceSpec
from sources.recording import fetch
from stores.s3_server import s3

__all__ = ["s3"]


@pytest.fixture
def prefix(s3: ObjectStore) -> Iterator[str]:
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    name = f"{BUCKET}/{secrets.token_hex(8)}"
    for i in range(30):
        filesystem.pipe_file(f"{name}/f{i:02d}.txt", f"object {i}".encode())
    filesystem.pipe_file(f"{name}/sub/x.txt", b"deep" * 1000)
    yield name
    filesystem.rm(name, recursive=True)


def test_a_bucket_is_listed_page_by_page_and_read(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_files, "_PAGE", 7)
    source = open_source("store", SourceSpec(url=f"s3://{prefix}/**/*.txt"))
    objects = sorted(source.listing(), key=lambda obj: obj.path)
    assert [obj.path for obj in objects] == [*(f"f{i:02d}.txt" for i in range(30)), "sub/x.txt"]
    assert all(obj.version.startswith('etag:"') for obj in objects)
    outcomes, _ = asyncio.run(fetch(source, [(obj, 1, obj.size - 1) for obj in objects[:5]], at_once=True))
    assert [o.whole for o in outcomes] == [f"bject {i}".encode() for i in range(5)]
    source.close()


def test_an_object_that_is_replaced_or_deleted_is_noticed_also_while_it_is_open(prefix: str) -> None:
    source = open_source("store", SourceSpec(url=f"s3://{prefix}/sub/*.txt"))
    (obj,) = source.listing()
    assert source.read_now(obj, 2, 4) == b"epde"
    filesystem = fsspec.filesystem("s3", skip_instance_cache=True)
    filesystem.pipe_file(f"{prefix}/sub/x.txt", b"DEEP" * 1000)
    with pytest.raises(SourceChanged):
        source.read_now(obj, 2, 4)
    filesystem.rm_file(f"{prefix}/sub/x.txt")
    with pytest.raises(ObjectMissing):
        source.read_now(obj, 2, 4)
    source.close()


def test_a_bucket_that_is_not_there_is_a_usage_error(s3: ObjectStore) -> None:
    source = open_source("store", SourceSpec(url="s3://no-such-bucket-at-all/x/*.txt"))
    with pytest.raises(UsageError, match="no-such-bucket-at-all"):
        list(source.listing())
