"""Our own stores of datasets, held to the suite that the author of a store runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from object_store import ObjectStore

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.testing.stores import StoreSuite
from stores.moto_server import key_store as key_store
from stores.s3_suite import S3Suite


class TestLocalStore(StoreSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "set")


class TestRemoteStore(StoreSuite):
    """A filesystem of fsspec that creates without replacing."""

    @pytest.fixture
    def url(self) -> Iterator[str]:
        root = f"suite-{secrets.token_hex(4)}"
        yield f"memory://{root}/set"
        files = fsspec.filesystem("memory")
        if files.exists(f"/{root}"):
            files.rm(f"/{root}", recursive=True)

    def loses_an_answer(self, store: DatasetStore) -> AbstractContextManager[None]:
        return self._losing()

    @contextmanager
    def _losing(self) -> Iterator[None]:
        put, lost = MemoryFileSystem.pipe_file, []

        def losing(
            self: MemoryFileSystem, path: str, value: bytes, mode: str = "overwrite", **more: object
        ) -> None:
            try:
                put(self, path, value, mode=mode, **more)
            finally:
                if not lost:
                    lost.append(path)
                    raise TimeoutError("no answer")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MemoryFileSystem, "pipe_file", losing)
            yield
        assert lost, "no answer was lost"


class TestS3Store(S3Suite):
    """moto's S3; tests/stores has the same over real servers."""

    @pytest.fixture
    def server(self, key_store: ObjectStore) -> ObjectStore:
        return key_store
