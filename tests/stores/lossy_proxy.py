"""A TCP proxy before an HTTP server that loses answers: the request is carried out, nobody hears of it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class LossyProxy:
    """Loses the answers to the next `losing` requests whose first bytes hold `marker`, or gives another."""

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._marker = b""
        self._losing = 0
        self._instead = b""
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, marker: str, times: int, instead: bytes = b"") -> None:
        with self._lock:
            self._marker, self._losing, self.lost = marker.encode(), times, 0
            self._instead = instead

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._upstream) as server:
            doomed = threading.Event()
            threading.Thread(target=self._forward, args=(client, server, doomed), daemon=True).start()
            while data := server.recv(65536):
                if doomed.is_set() and not data.startswith(b"HTTP/1.1 100"):
                    # The server has answered: it is done, and the client will not know. A close alone
                    # sends nothing while the other thread still reads from this socket.
                    if self._instead:
                        client.sendall(self._instead)
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)

    def _forward(self, client: socket.socket, server: socket.socket, doomed: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                with self._lock:
                    if self._losing and self._marker in data[:4096]:
                        self._losing -= 1
                        self.lost += 1
                        doomed.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def lossy(upstream: str) -> Iterator[LossyProxy]:
    proxy = LossyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
