"""moto's S3 on loopback: a store that keeps keys as they are, as Amazon's does. Stores over a file system
cannot hold `a//b` beside `a/b`. It lists, and answers ranges; it takes any signature."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer
from object_store import BUCKET, ObjectStore


@pytest.fixture(scope="session")
def key_store() -> Iterator[ObjectStore]:
    """A server with the bucket BUCKET."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        store = ObjectStore(f"http://{host}:{port}", "skyhaul", "moto")
        store.client().create_bucket(Bucket=BUCKET)
        yield store
    finally:
        server.stop()
