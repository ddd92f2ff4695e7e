"""A real Redis server on loopback for tests; skipped with the reason where there is none."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class RedisServer:
    """redis-server on a free port, with nothing kept on disk. password: none by default."""

    def __init__(self, folder: Path, password: str = "") -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        pytest.importorskip("redis", reason="redis-py is not installed (the extra `redis`)")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [
            program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no",
            "--dir", str(folder), *(["--requirepass", password] if password else []),
        ]  # fmt: skip
        self._folder = folder
        secret = f":{password}@" if password else ""
        self.url = f"redis://{secret}127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def sharing(way: str, folder: Path) -> Iterator[str]:
    """A link's `shared` for `redis`, by a server of its own, or for `store`."""
    if way != "redis":
        yield way
        return
    server = RedisServer(folder)
    try:
        yield server.url
    finally:
        server.kill()
