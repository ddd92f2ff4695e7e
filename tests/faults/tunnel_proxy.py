"""A proxy on loopback that speaks CONNECT and SOCKS5 and can be told to misbehave."""

from __future__ import annotations

import base64
import contextlib
import socket
import struct
import threading
import time
from types import TracebackType


class TunnelProxy:
    """Carries bytes to wherever it is asked. `kind`: http or socks5. credentials: (user, password) it asks
    for. mood: `well`; `dribble`: CONNECT's answer comes in pieces; `refuse`: not allowed; `unreachable`;
    `garbage`; `cut`: ends every connection in the middle of the talk. names: resolves these itself.
    """

    def __init__(
        self,
        kind: str,
        *,
        credentials: tuple[str, str] | None = None,
        mood: str = "well",
        names: dict[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.mood = mood
        self.asked: list[tuple[str, int]] = []
        self.from_addresses: list[str] = []
        self.carried = 0
        self._credentials = credentials
        self._names = names or {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"{self.kind}://127.0.0.1:{self.port}"

    def with_credentials(self, user: str, password: str) -> str:
        return f"{self.kind}://{user}:{password}@127.0.0.1:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> TunnelProxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, address = self._listener.accept()
                self.from_addresses.append(address[0])
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, ValueError, IndexError):
            with self._lock:
                self._open.add(client)
            target = self._by_http(client) if self.kind == "http" else self._by_socks(client)
            if target is None:
                return
            with socket.create_connection(target, timeout=5) as server:
                server.settimeout(None)
                with self._lock:
                    self._open.add(server)
                up = threading.Thread(target=self._pump, args=(client, server), daemon=True)
                up.start()
                self._pump(server, client)
                up.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
                with self._lock:
                    self.carried += len(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _where(self, host: str, port: int) -> tuple[str, int]:
        self.asked.append((host, port))
        return self._names.get(host, host), port

    def _by_http(self, client: socket.socket) -> tuple[str, int] | None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        lines = head.decode("ascii").split("\r\n")
        host, _, port = lines[0].split()[1].rpartition(":")
        where = self._where(host.strip("[]"), int(port))
        if self._credentials is not None:
            token = base64.b64encode(":".join(self._credentials).encode()).decode()
            if f"Proxy-Authorization: Basic {token}" not in lines:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return None
        answers = {
            "refuse": b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "unreachable": b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
            "garbage": b"SSH-2.0-not-a-proxy\r\n\r\n",
            "cut": b"HTTP/1.1 200 Connec",
        }
        if self.mood in answers:
            client.sendall(answers[self.mood])
            return None
        answer = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n"
        pieces = [answer[i : i + 7] for i in range(0, len(answer), 7)] if self.mood == "dribble" else [answer]
        for piece in pieces:
            client.sendall(piece)
            if len(pieces) > 1:
                time.sleep(0.003)
        return where

    def _by_socks(self, client: socket.socket) -> tuple[str, int] | None:
        stream = client.makefile("rb")
        _, count = stream.read(2)
        methods = stream.read(count)
        if self.mood == "garbage":
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
        if self._credentials is None:
            client.sendall(b"\x05\x00")
        elif 2 not in methods:
            client.sendall(b"\x05\xff")
            return None
        else:
            client.sendall(b"\x05\x02")
            stream.read(1)
            user = stream.read(stream.read(1)[0]).decode()
            password = stream.read(stream.read(1)[0]).decode()
            right = (user, password) == self._credentials
            client.sendall(b"\x01\x00" if right else b"\x01\x01")
            if not right:
                return None
        _, _, _, kind = stream.read(4)
        if kind == 1:
            host = socket.inet_ntoa(stream.read(4))
        elif kind == 4:
            host = socket.inet_ntop(socket.AF_INET6, stream.read(16))
        else:
            host = stream.read(stream.read(1)[0]).decode()
        where = self._where(host, struct.unpack("!H", stream.read(2))[0])
        code = {"refuse": 2, "unreachable": 4}.get(self.mood, 0)
        if self.mood == "cut":
            client.sendall(b"\x05\x00")
            return None
        client.sendall(bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0)))
        return None if code else where
