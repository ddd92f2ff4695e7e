"""Datasets on real S3 servers, held to the suite that the author of a store runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from object_store import ObjectStore

from stores.s3_server import running
from stores.s3_suite import S3Suite


@pytest.fixture(scope="module")
def versitygw() -> Iterator[ObjectStore]:
    yield from running("versitygw")


@pytest.fixture(scope="module")
def minio() -> Iterator[ObjectStore]:
    yield from running("minio")


class TestVersitygw(S3Suite):
    @pytest.fixture
    def server(self, versitygw: ObjectStore) -> ObjectStore:
        return versitygw


class TestMinio(S3Suite):
    @pytest.fixture
    def server(self, minio: ObjectStore) -> ObjectStore:
        return minio
