"""fsspec filesystems: listed by globs, pinned by what they state, read exactly."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, ProfileNotFound

from skyhaul_connectors.sources.fsspec.errors import as_carriage
from skyhaul_connectors.sources.fsspec.pin import size_in, still_holds, version_in
from skyhaul_connectors.sources.opening import open_source, selection
from skyhaul_connectors.sources.protocol import Route, Source
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    ConnectionLost,
    NoSuchBucket,
    NotSetUp,
    ObjectMissing,
    ReadFailed,
    SourceChanged,
    StalledError,
    UsageError,
)
from skyhaul_schemas.job.model import SourceSpec
from sources.recording import Recorder, fetch

FILES = {"a.txt": b"alpha" * 1000, "x/b.txt": b"beta" * 500, "x/y/c.txt": b"", "x/d.log": b"log"}


@pytest.fixture
def bucket() -> Iterator[str]:
    """A folder of the memory filesystem that is only this test's."""
    memory = fsspec.filesystem("memory")
    name = f"bucket-{uuid.uuid4().hex}"
    for path, data in FILES.items():
        memory.pipe_file(f"/{name}/{path}", data)
    yield name
    memory.rm(f"/{name}", recursive=True)


def opened(bucket: str, pattern: str, **more: Any) -> Source:
    return open_source("store", SourceSpec(url=f"memory://{bucket}/{pattern}"), **more)


def test_globs_find_objects_below_the_root(bucket: str) -> None:
    found = sorted(opened(bucket, "**/*.txt").listing(), key=lambda o: o.path)
    assert [(o.path, o.size) for o in found] == [("a.txt", 5000), ("x/b.txt", 2000), ("x/y/c.txt", 0)]
    assert all(o.version.startswith("mtime:") for o in found)
    assert [o.path for o in opened(bucket, "x/*.txt").listing()] == ["b.txt"]
    assert [o.path for o in opened(bucket, "x/").listing()] == ["b.txt", "d.log", "y/c.txt"]


def test_a_named_object_is_pinned_and_a_folder_is_refused(bucket: str) -> None:
    assert [o.path for o in opened(bucket, "x/b.txt").listing()] == ["b.txt"]
    with pytest.raises(UsageError, match="folder"):
        list(opened(bucket, "x").listing())
    with pytest.raises(ObjectMissing):
        list(opened(bucket, "none.txt").listing())


def test_ranges_are_read_exactly_over_several_channels(bucket: str) -> None:
    source = opened(bucket, "**/*.txt")
    objects = [o for o in source.listing() if o.size]

    async def main() -> None:
        rounds = [fetch(source, [(o, 10, 900) for o in objects], at_once=True) for _ in range(3)]
        for outcomes, events in await asyncio.gather(*rounds):
            for obj, outcome in zip(objects, outcomes, strict=True):
                assert outcome.whole == FILES[obj.path][10:910]
            assert events.closed_with is None

    asyncio.run(main())
    assert source.read_now(objects[0], 3, 4) == FILES[objects[0].path][3:7]
    assert source.read_now(objects[0], 3, 0) == b""
    source.close()


@pytest.mark.parametrize("when", ["before", "between"])
def test_an_object_that_is_replaced_is_source_changed(bucket: str, when: str) -> None:
    source = opened(bucket, "a.txt")
    (obj,) = source.listing()
    if when == "between":
        assert source.read_now(obj, 0, 5) == b"alpha"
    fsspec.filesystem("memory").pipe_file(f"/{bucket}/a.txt", b"ALPHA" * 1000)
    with pytest.raises(SourceChanged):
        source.read_now(obj, 0, 5)
    outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 5)]))
    assert isinstance(outcomes[0].error, SourceChanged)


def test_a_deleted_object_is_missing(bucket: str) -> None:
    source = opened(bucket, "a.txt")
    (obj,) = source.listing()
    fsspec.filesystem("memory").rm_file(f"/{bucket}/a.txt")
    outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 5)]))
    assert isinstance(outcomes[0].error, ObjectMissing)
    fsspec.filesystem("memory").pipe_file(f"/{bucket}/a.txt", b"")


def test_a_short_read_is_a_lost_connection(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source = opened(bucket, "a.txt")
    (obj,) = source.listing()
    real = fsspec.implementations.memory.MemoryFile.read
    monkeypatch.setattr(
        fsspec.implementations.memory.MemoryFile, "read", lambda self, n=-1: real(self, n)[:-1]
    )
    with pytest.raises(ConnectionLost, match="4 of 5 bytes"):
        source.read_now(obj, 0, 5)


def test_a_read_that_never_returns_stalls_the_channel_and_not_the_process(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = opened(bucket, "a.txt", timeouts=Timeouts(idle=0.1))
    (obj,) = source.listing()
    release = threading.Event()
    monkeypatch.setattr(
        fsspec.implementations.memory.MemoryFile, "read", lambda self, n=-1: release.wait(20) and b""
    )
    outcomes, events = asyncio.run(fetch(source, [(obj, 0, 5)]))
    release.set()
    assert isinstance(events.closed_with, StalledError)
    assert not outcomes[0].data


def test_closing_a_channel_ends_its_thread(bucket: str) -> None:
    async def main() -> None:
        channel = opened(bucket, "a.txt").connect(Recorder(), Route())
        channel.close()
        await asyncio.sleep(0.05)

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() <= before


def test_the_selection_leaves_out_bucket_and_prefix() -> None:
    assert selection(SourceSpec(url="s3://bucket/prefix/**/*.parquet")) == ["**/*.parquet"]
    assert selection(SourceSpec(url=["s3://b/p/x/*.a", "s3://b/p/y.b"])) == ["x/*.a", "y.b"]


NOW = dt.datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"ETag": '"abc"'}, 'etag:"abc"'),
        ({"ETag": "abc", "LastModified": NOW}, 'etag:"abc"'),
        ({"etag": 'W/"abc"', "mtime": 1.5}, "mtime:1500000000"),
        ({"generation": "17", "etag": "x"}, 'etag:"x"'),
        ({"generation": "17"}, "vid:17"),
        ({"VersionId": "null", "ETag": '"e"'}, 'etag:"e"'),
        ({"VersionId": "v1", "ETag": '"e"'}, 'etag:"e"'),
        ({"VersionId": "v1"}, "vid:v1"),
        ({"LastModified": NOW}, f"mtime:{int(NOW.timestamp()) * 10**9 + 123456000}"),
        ({"created": NOW.timestamp()}, f"mtime:{int(NOW.timestamp()) * 10**9 + 123456000}"),
        ({"modified": "2026-11-22T12:00:00"}, f"mtime:{int(NOW.timestamp()) * 10**9}"),
        ({"name": "x"}, ""),
    ],
)
def test_an_object_is_pinned_by_the_strongest_that_its_store_states(
    info: dict[str, Any], version: str
) -> None:
    assert version_in(info) == version


def test_a_pin_holds_where_the_store_says_more_than_its_listing_did() -> None:
    info = {"VersionId": "v1", "ETag": '"e"', "LastModified": NOW}
    assert still_holds('etag:"e"', info)
    assert still_holds("vid:v1", info)
    assert still_holds("", info)
    assert not still_holds('etag:"f"', info)
    assert not still_holds("vid:v2", info)
    assert not still_holds('etag:"e"', {"VersionId": "v1"})


@pytest.mark.parametrize("size", [None, -1, True, "5"])
def test_a_size_that_is_none_is_not_believed(size: object) -> None:
    assert size_in({"size": size}) is None


def _no_bucket() -> Exception:
    error = FileNotFoundError("the bucket CANARY does not exist")
    error.__cause__ = ClientError({"Error": {"Code": "NoSuchBucket"}}, "ListObjectsV2")
    return error


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (FileNotFoundError(2, "CANARY"), ObjectMissing),
        (PermissionError(13, "CANARY"), AccessRefused),
        (TimeoutError("CANARY"), StalledError),
        (OSError(24, "CANARY"), ReadFailed),
        (NoCredentialsError(), NotSetUp),
        (ProfileNotFound(profile="CANARY"), NotSetUp),
        (_no_bucket(), NoSuchBucket),
        (ConnectionResetError(104, "CANARY"), ConnectionLost),
        (OSError("https://CANARY@host/?sig=CANARY"), ConnectionLost),
    ],
)
def test_foreign_errors_become_ours_without_their_text(raised: Exception, error: type[CarriageError]) -> None:
    found = as_carriage("store: 'a'", raised)
    assert type(found) is error
    assert "CANARY" not in str(found)
    assert (found.exit_code == 2) == isinstance(found, UsageError) == (error in (NotSetUp, NoSuchBucket))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("simplecache::s3://b/x", "chained"),
        ("filecache::memory://b/x", "chained"),
        ("memory://a::b/x", "chained"),
        ("memory://u@a::file:///etc/x", "chained"),
        ("s3://b::file://x/*", "chained"),
        ("sftp://u::v@host/x", "chained"),
        ("sftp://[::1]::x/x", "chained"),
        ("reference://x", "scheme 'reference'"),
        ("github://o:r@x/y", "scheme 'github'"),
        ("zip://x::memory://y", "scheme 'zip'"),
        (["memory://a/x", "/local"], "several schemes"),
        (["memory://a/*.x", "memory://b/*.y"], "several buckets"),
        (["/a/*.x", "b/*.y"], "all alike"),
    ],
)
def test_a_scheme_that_is_not_allowed_is_refused(url: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        open_source("store", SourceSpec(url=url))
    with pytest.raises(UsageError, match=reason):
        selection(SourceSpec(url=url))


@pytest.mark.parametrize("url", ["http://[::1]:80/x/a::b.txt", "http://[2001:db8::1]/*", "memory://b/a::b"])
def test_two_colons_may_stand_in_an_address_and_in_a_path(url: str) -> None:
    assert selection(SourceSpec(url=url))


def test_a_package_that_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(protocol: str) -> None:
        raise ImportError("CANARY")

    monkeypatch.setattr(fsspec, "get_filesystem_class", missing)
    with pytest.raises(UsageError, match="sftp:// needs a package") as caught:
        open_source("store", SourceSpec(url="sftp://host/x/*.txt"))
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("pattern", ["**", "a.txt"])
def test_an_object_that_states_no_bytes_and_has_some_is_refused(
    bucket: str, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    # As gateways do that do not know a size: what they list states 0.
    memory = type(fsspec.filesystem("memory"))
    ls, info = memory.ls, memory.info

    def lying_ls(self: Any, *args: Any, **more: Any) -> Any:
        return [{**found, "size": 0} for found in ls(self, *args, **more)]

    def lying_info(self: Any, *args: Any, **more: Any) -> Any:
        return {**info(self, *args, **more), "size": 0}

    monkeypatch.setattr(memory, "ls", lying_ls)
    monkeypatch.setattr(memory, "info", lying_info)
    with pytest.raises(UsageError, match=r"'a\.txt' states a size of 0 and has bytes"):
        list(opened(bucket, pattern).listing())


@pytest.mark.parametrize("path", ["x//b.txt", "/a.txt", "x/../a.txt", "./a.txt", "x//"])
def test_a_url_that_the_filesystem_would_fold_into_another_object_is_refused(bucket: str, path: str) -> None:
    with pytest.raises(UsageError, match="folds"):
        opened(bucket, path)
