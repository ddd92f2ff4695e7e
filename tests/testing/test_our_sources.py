"""Our own sources, held to the suite that the author of a source runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from object_store import ObjectStore

from faults.hostile_http import HostileServer
from skyhaul.testing.sources import OBJECTS, Place, SourceSuite
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.job.model import SourceSpec
from sources.s3.test_s3_keys import client_of, options
from stores.moto_server import key_store as key_store


class Folder:
    """Files below a folder, and a source by the URL that leads to it."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._url = url

    def open(self) -> Source:
        return open_source("far", SourceSpec(url=f"{self._url}/**"))

    def put(self, path: str, data: bytes) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)

    def delete(self, path: str) -> None:
        (self._folder / path).unlink()


class TestLocalFiles(SourceSuite):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Folder(tmp_path, str(tmp_path))


class TestHttp(SourceSuite):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with HostileServer(tmp_path) as server:
            yield Folder(tmp_path, server.url.rstrip("/"))


class TestHttpByTime(SourceSuite):
    """From a server without strong ETags: Last-Modified, in seconds, and the size are all that pins."""

    sees_changes: ClassVar[bool] = False

    @pytest.fixture
    def place(self, tmp_path: Path) -> Iterator[Place]:
        with HostileServer(tmp_path, etags="weak", index="apache") as server:
            yield Folder(tmp_path, server.url.rstrip("/"))


class InMemory:
    """One memory source, which all that is opened are."""

    def __init__(self, pipelines: bool) -> None:
        self._source = MemorySource("far", {}, piece=1000, pipelines=pipelines)

    def open(self) -> Source:
        return self._source

    def put(self, path: str, data: bytes) -> None:
        self._source.replace(path, data)

    def delete(self, path: str) -> None:
        self._source.delete(path)


@pytest.mark.parametrize("pipelines", [True, False])
class TestMemory(SourceSuite):
    @pytest.fixture
    def place(self, pipelines: bool) -> Place:
        return InMemory(pipelines)


class Bucket:
    """Keys below a prefix of a filesystem that fsspec knows."""

    def __init__(self) -> None:
        self.root = f"suite-{secrets.token_hex(4)}"
        self.files = fsspec.filesystem("memory")

    def open(self) -> Source:
        return open_source("far", SourceSpec(url=f"memory://{self.root}/**"))

    def put(self, path: str, data: bytes) -> None:
        self.files.pipe_file(f"/{self.root}/{path}", data)

    def delete(self, path: str) -> None:
        self.files.rm_file(f"/{self.root}/{path}")


class TestFsspec(SourceSuite):
    @pytest.fixture
    def place(self) -> Iterator[Place]:
        bucket = Bucket()
        yield bucket
        bucket.files.rm(f"/{bucket.root}", recursive=True)


class Keys:
    """A bucket of moto's S3."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._client = client_of(store)
        self._bucket = f"suite-{secrets.token_hex(8)}"
        self._client.create_bucket(Bucket=self._bucket)

    def open(self) -> Source:
        return open_source("far", SourceSpec(url=f"s3://{self._bucket}/**", options=options(self._store)))

    def put(self, path: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=path, Body=data)

    def delete(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=path)


class TestS3(SourceSuite):
    objects: ClassVar[Mapping[str, bytes]] = {**OBJECTS, "a//empty part.bin": b"0123456789" * 40}

    @pytest.fixture
    def place(self, key_store: ObjectStore) -> Place:
        return Keys(key_store)
