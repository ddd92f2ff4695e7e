"""The suite of stores over an S3 server, whichever it is; some of its answers are lost on the way."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import fsspec
import pytest
from object_store import ObjectStore

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.testing.stores import StoreSuite
from stores.lossy_proxy import LossyProxy, lossy


class S3Suite(StoreSuite):
    """Needs a fixture `server`: an ObjectStore."""

    repeats = True

    @pytest.fixture(autouse=True)
    def proxy(self, server: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[LossyProxy]:
        """Before the server; what is opened in the test goes through it."""
        with lossy(server.endpoint) as proxy:
            for name, value in {**server.environment(), "AWS_ENDPOINT_URL_S3": proxy.endpoint}.items():
                monkeypatch.setenv(name, value)
            fsspec.get_filesystem_class("s3").clear_instance_cache()
            self._proxy = proxy
            yield proxy
            fsspec.get_filesystem_class("s3").clear_instance_cache()

    @pytest.fixture
    def url(self, server: ObjectStore) -> str:
        # Without versions: where there are some, versitygw hides what is put after a delete marker.
        bucket = f"suite-{secrets.token_hex(8)}"
        server.client().create_bucket(Bucket=bucket)
        return f"s3://{bucket}/set"

    def loses_an_answer(self, store: DatasetStore) -> AbstractContextManager[None]:
        return self._losing()

    @contextmanager
    def _losing(self) -> Iterator[None]:
        self._proxy.lose("PUT /", 1)
        yield
        assert self._proxy.lost == 1, "no answer was lost"
