"""A real HTTP/1.1 server on loopback that serves objects, and shows any fault of `http_faults` on demand.

In a test:

    with HostileServer({"a.txt": b"..."}) as server:
        server.faults.on("a.txt", HttpFault("reset", after=100))
        ...                       # server.url, server.log

As a process of its own, for tests that kill the client:

    python -m tests.faults.hostile_http --root DIR --port 0 --log ranges.jsonl --fault 'a.txt=reset,after=100'

prints its port as the first line and serves until it is killed. Each answer is one line of the log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO

from .http_answers import Answerer, HangUp, ServedRange
from .http_faults import FaultPlan, parse_fault
from .http_objects import Objects

__all__ = ["HostileServer", "ServedRange"]


class HostileServer:
    """Serves `objects` (a mapping of path to bytes, or a folder) at `url` until it is closed.

    etags: `strong`, `weak` or `none`; last_modified: whether it is stated. rate: bytes per second of one
    connection. send_buffer: SO_SNDBUF, small where tests count what a killed client had got. tls: a
    server context. require: header -> value that a request must have, else 401. index: what a folder
    answers: `nginx`, `apache`, `json` or `none`. keep_alive: requests a connection may make.

    refuses_head: the status of every answer to HEAD. refuses_conditions: If-Match and its like get 412.
    content_encoding: what all objects are stored with.
    """

    def __init__(
        self,
        objects: Mapping[str, bytes] | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        etags: str = "strong",
        last_modified: bool = True,
        rate: float | None = None,
        send_buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
        require: Mapping[str, str] | None = None,
        index: str = "nginx",
        keep_alive: int | None = None,
        log_file: IO[str] | None = None,
    ) -> None:
        self.objects = Objects(objects)
        self.faults = FaultPlan()
        self.log: list[ServedRange] = []
        self.connections = 0
        self.refuses_head: int | None = None
        self.refuses_conditions = False
        self.content_encoding: str | None = None
        self._etags = etags
        self._last_modified = last_modified
        self._rate = rate
        self._tls = tls
        self._require = dict(require or {})
        self._index = index
        self._keep_alive = keep_alive
        self._log_file = log_file
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self._listener.bind((host, port))
        self._listener.listen(512)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept, name="hostile-http", daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}/"

    def ranges(self, path: str | None = None) -> list[ServedRange]:
        """The GETs so far, of one path or all, in the order of their arrival."""
        with self._lock:
            return [s for s in self.log if s.method == "GET" and path in (None, s.path)]

    def close(self) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> HostileServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                number = self.connections
            self._threads = [t for t in self._threads if t.is_alive()]
            thread = threading.Thread(target=self._serve, args=(connection, number), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                wrapped = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.discard(connection)
                    self._open.add(wrapped)
                connection = wrapped
            with connection.makefile("rb") as lines:
                answerer = Answerer(self, connection, lines, number)
                count = 0
                while answerer.answer_next(last=self._keep_alive == count + 1):
                    count += 1
        except (OSError, ValueError, HangUp):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()

    def _logged(self, served: ServedRange) -> None:
        with self._lock:
            served.number = len(self.log)
            self.log.append(served)

    def _ended(self, served: ServedRange) -> None:
        if self._log_file is not None:
            entry = asdict(served)
            del entry["headers"]
            with self._lock:
                self._log_file.write(json.dumps(entry) + "\n")
                self._log_file.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve a folder over HTTP, with faults.")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, help="one JSON line an answer")
    parser.add_argument("--rate", type=float, help="bytes per second of one connection")
    parser.add_argument("--send-buffer", type=int, help="SO_SNDBUF in bytes")
    parser.add_argument("--etags", choices=("strong", "weak", "none"), default="strong")
    parser.add_argument("--index", choices=("nginx", "apache", "json", "none"), default="nginx")
    parser.add_argument("--keep-alive", type=int, help="requests a connection may make")
    parser.add_argument("--tls", type=Path, help="PEM file with certificate and key")
    parser.add_argument(
        "--fault", action="append", default=[], help="PATH=KIND[,after=N][,seconds=S]; repeat for the next"
    )
    parser.add_argument("--always", action="append", default=[], help="as --fault, for every request")
    options = parser.parse_args()
    tls = None
    if options.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.tls)
    log = options.log.open("a") if options.log else None
    server = HostileServer(
        options.root,
        port=options.port,
        rate=options.rate,
        send_buffer=options.send_buffer,
        etags=options.etags,
        index=options.index,
        keep_alive=options.keep_alive,
        tls=tls,
        log_file=log,
    )
    for text in options.fault:
        path, _, fault = text.partition("=")
        server.faults.on(path, parse_fault(fault))
    for text in options.always:
        path, _, fault = text.partition("=")
        server.faults.always(path, parse_fault(fault))
    print(server.port, flush=True)
    parent = os.getppid()
    with contextlib.suppress(KeyboardInterrupt):
        while os.getppid() == parent:  # when the test that started us is gone, so are we
            time.sleep(0.2)
    server.close()


if __name__ == "__main__":
    main()
