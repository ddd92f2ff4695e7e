"""Real S3 servers on loopback for tests, one a session, skipped with the reason where none can be had.

Tests build nothing and fetch nothing unless SKYHAUL_TEST_DOWNLOADS is set, as CI does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import object_store
import pytest
from fetch import OFFLINE
from object_store import ObjectStore
from processes import Unavailable


def running(tool: str) -> Iterator[ObjectStore]:
    """A server for the length of a fixture."""
    with pytest.MonkeyPatch.context() as patch:
        if not os.environ.get("SKYHAUL_TEST_DOWNLOADS"):
            patch.setenv(OFFLINE, "1")
        try:
            with object_store.object_store(tool) as store:
                yield store
        except Unavailable as reason:
            pytest.skip(f"no S3 server: {reason}")


def serve(tool: str) -> Iterator[ObjectStore]:
    """As `running`, with its address and keys in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        for store in running(tool):
            for name, value in store.environment().items():
                patch.setenv(name, value)
            yield store


@pytest.fixture(scope="session")
def s3() -> Iterator[ObjectStore]:
    """versitygw."""
    yield from serve("versitygw")
