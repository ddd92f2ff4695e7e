"""What the hostile HTTP server answers on one connection, faults and all."""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import IO, TYPE_CHECKING
from urllib.parse import quote, unquote

from .http_faults import HttpFault
from .http_objects import index_page

if TYPE_CHECKING:
    from .hostile_http import HostileServer


_PIECE = 64 * 1024


@dataclass(slots=True)
class ServedRange:
    """One request and what went out for it: `sent` bytes of [start, end) (bytes handed to the kernel)."""

    number: int
    connection: int
    method: str
    path: str
    start: int
    end: int
    status: int = 0
    sent: int = 0
    fault: str | None = None
    at: float = 0.0
    headers: dict[str, str] = field(default_factory=dict, repr=False)


class HangUp(Exception):
    """This connection is over."""


class Answerer:
    """Reads the requests of one connection and answers them in order, faults apart."""

    def __init__(
        self, server: HostileServer, connection: socket.socket, lines: IO[bytes], number: int
    ) -> None:
        self._server = server
        self._connection = connection
        self._lines = lines
        self._number = number

    def answer_next(self, *, last: bool) -> bool:
        """False at the end of the connection."""
        request = self._read_request()
        if request is None:
            return False
        try:
            keep = self._answer(request, last=last)
        finally:
            self._server._ended(request)
        return keep and not last

    def _read_request(self) -> ServedRange | None:
        line = self._lines.readline(16384)
        if not line:
            return None
        method, target, _version = line.decode("latin-1").split()
        headers: dict[str, str] = {}
        while (line := self._lines.readline(16384)) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if line == b"":
            return None
        path = unquote(target.split("?", 1)[0]).lstrip("/")
        start, end = 0, -1
        if "range" in headers:
            first, _, final = headers["range"].removeprefix("bytes=").partition("-")
            start, end = int(first), int(final) + 1 if final else -1
        served = ServedRange(0, self._number, method, path, start, end, at=time.monotonic(), headers=headers)
        self._server._logged(served)
        return served

    def _answer(self, served: ServedRange, *, last: bool) -> bool:
        server = self._server
        with server._lock:
            fault = server.faults.next_for(served.path)
        served.fault = fault.kind if fault else None
        if any(served.headers.get(name.lower()) != value for name, value in server._require.items()):
            return self._plain(served, 401)
        kind = fault.kind if fault else ""
        if fault is not None:
            if kind == "swap":
                following = self._read_request()
                if following is not None:
                    self._answer(following, last=False)
                    server._ended(following)
            if kind == "replace" and server.objects.size(served.path) is not None:
                server.objects.replace(served.path, server.objects.read(served.path)[::-1] + b"!")
            if kind == "delete":
                server.objects.delete(served.path)
            early = self._early_fault(fault, served)
            if early is not None:
                return early
        if served.method == "HEAD" and server.refuses_head is not None:
            return self._plain(served, server.refuses_head)
        if server.refuses_conditions and any(name.startswith("if-") for name in served.headers):
            return self._plain(served, 412)
        size = server.objects.size(served.path)
        if size is None:
            page = index_page(server.objects, served.path, server._index)
            return self._plain(served, 200, page) if page is not None else self._plain(served, 404)
        if (wanted := served.headers.get("if-match")) and kind not in ("changed-etag", "weak-etag"):
            etag = self._etag(served.path)
            if etag is None or etag.startswith("W/") or wanted not in ("*", etag):
                return self._plain(served, 412)
        until = served.headers.get("if-unmodified-since")
        if until and until != server.objects.last_modified(served.path):
            return self._plain(served, 412)
        if served.end < 0:
            served.end = size
            return self._whole(served, size, kind, last=last)
        if served.start >= size:
            return self._plain(served, 416)
        served.end = min(served.end, size)
        return self._range(served, size, fault, last=last)

    def _early_fault(self, fault: HttpFault, served: ServedRange) -> bool | None:
        """Faults that need no object; None where the answer goes on."""
        match fault.kind:
            case "silent":
                self._wait(fault.seconds)
                raise HangUp
            case "garbage":
                self._send(b"\x16\x03\x01 this is not HTTP\r\n\r\n" * 3)
                raise HangUp
            case "endless-head":
                self._send(b"HTTP/1.1 206 Partial Content\r\n")
                while True:
                    self._send(b"X-More: " + b"x" * 1000 + b"\r\n")
            case "redirect":
                return self._plain(served, 302, location=fault.location)
            case "redirect-loop":
                return self._plain(served, 302, location="/" + quote(served.path))
            case "busy":
                return self._plain(served, 503, retry_after=f"{fault.seconds:g}")
            case "too-many":
                return self._plain(served, 429, retry_after=f"{fault.seconds:g}")
            case "busy-date":
                stamp = formatdate(time.time() + fault.seconds, usegmt=True)
                return self._plain(served, 503, retry_after=stamp)
            case "status":
                return self._plain(served, fault.status)
            case "416":
                return self._plain(served, 416)
            case _:
                return None

    def _etag(self, path: str) -> str | None:
        if self._server._etags == "none":
            return None
        etag = self._server.objects.etag(path)
        return f"W/{etag}" if self._server._etags == "weak" else etag

    def _validators(self, path: str, kind: str) -> list[str]:
        if kind == "no-etag":
            return []
        lines = []
        if self._server.content_encoding is not None:
            lines.append(f"Content-Encoding: {self._server.content_encoding}")
        etag = self._etag(path)
        if etag is not None:
            if kind == "changed-etag":
                etag = '"' + hashlib.sha256(b"changed" + etag.encode()).hexdigest()[:16] + '"'
            lines.append(f"ETag: {'W/' if kind == 'weak-etag' else ''}{etag}")
        if self._server._last_modified:
            lines.append(f"Last-Modified: {self._server.objects.last_modified(path)}")
        return lines

    def _whole(self, served: ServedRange, size: int, kind: str, *, last: bool) -> bool:
        lines = [f"Content-Length: {size}", "Accept-Ranges: bytes", *self._validators(served.path, kind)]
        self._head(served, 200, lines, last=last or kind == "close")
        if served.method != "HEAD":
            self._body(served, self._server.objects.read(served.path))
        return True

    def _range(self, served: ServedRange, size: int, fault: HttpFault | None, *, last: bool) -> bool:
        """A 206, with whatever the fault does to its frame or its bytes."""
        kind = fault.kind if fault else ""
        after = fault.after if fault else 0
        path = served.path
        whole = self._server.objects.read(path, served.start, served.end - served.start)
        body = whole
        first, final, total = served.start, served.end - 1, str(size)
        length: int | None = len(body)
        extra: list[str] = []
        match kind:
            case "ignore-range":
                served.start, served.end = 0, size
                return self._whole(served, size, kind, last=last)
            case "wrong-range":
                first, final = first + 1, final + 1
            case "wrong-total":
                total = str(size + 1)
            case "unknown-total":
                total = "*"
            case "short-length":
                body, length = body[:after], after
            case "long-length":
                body, length = body + b"!" * after, len(body) + after
            case "long":
                body = body + b"!" * after
            case "gzip":
                extra.append("Content-Encoding: gzip")
            case "changed-etag":
                body = bytes(b ^ 0x55 for b in body)
            case "corrupt":
                at = min(after, len(body) - 1)
                body = body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]
            case "two-lengths":
                extra.append(f"Content-Length: {len(body) + 1}")
            case "chunked" | "endless-chunked":
                length = None
                extra.append("Transfer-Encoding: chunked")
            case "until-close" | "endless":
                length, last = None, True
            case "interim":
                self._send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
        lines = [f"Content-Range: bytes {first}-{final}/{total}"] if kind != "no-content-range" else []
        if kind == "multipart":
            lines = ["Content-Type: multipart/byteranges; boundary=x"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        lines += [*self._validators(path, kind), *extra]
        slow_head = fault.seconds if fault and kind == "slow-head" else None
        self._head(served, 206, lines, last=last or kind == "close", each=slow_head)
        self._range_body(served, body, fault)
        return kind != "close-unannounced" and not last and kind != "close"

    def _range_body(self, served: ServedRange, body: bytes, fault: HttpFault | None) -> None:
        kind = fault.kind if fault else ""
        if fault is None or served.method == "HEAD":
            self._body(served, body if served.method != "HEAD" else b"")
            return
        match kind:
            case "reset":
                self._body(served, body[: fault.after])
                # Bytes still in the send buffer are thrown away by a reset; let them go out first.
                self._wait(0.05)
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise HangUp
            case "drop":
                self._body(served, body[: fault.after])
                raise HangUp
            case "stall":
                self._body(served, body[: fault.after])
                self._wait(fault.seconds)
                raise HangUp
            case "slow":
                self._body(served, body[: fault.after])
                for at in range(fault.after, len(body)):
                    self._wait(fault.seconds)
                    self._body(served, body[at : at + 1])
            case "chunked":
                for at in range(0, len(body), 1000):
                    piece = body[at : at + 1000]
                    self._send(b"%x\r\n" % len(piece))
                    self._body(served, piece)
                    self._send(b"\r\n")
                self._send(b"0\r\n\r\n")
            case "endless":
                while True:
                    self._body(served, body)
            case "endless-chunked":
                while True:
                    self._send(b"%x\r\n" % len(body))
                    self._body(served, body)
                    self._send(b"\r\n")
            case _:
                self._body(served, body)

    def _plain(
        self,
        served: ServedRange,
        status: int,
        body: bytes | None = None,
        *,
        location: str | None = None,
        retry_after: str | None = None,
    ) -> bool:
        content = body if body is not None else f"status {status}\n".encode()
        lines = [f"Content-Length: {len(content)}"]
        if body is not None:
            kind = "application/json" if self._server._index == "json" else "text/html"
            lines.append(f"Content-Type: {kind}")
        if location is not None:
            lines.append(f"Location: {location}")
        if retry_after is not None:
            lines.append(f"Retry-After: {retry_after}")
        self._head(served, status, lines, last=False)
        if served.method != "HEAD":
            self._send(content)
        return True

    def _head(
        self, served: ServedRange, status: int, lines: list[str], *, last: bool, each: float | None = None
    ) -> None:
        served.status = status
        stated = [f"Date: {formatdate(usegmt=True)}", "Server: hostile", *lines]
        if last:
            stated.append("Connection: close")
        head = (f"HTTP/1.1 {status} X\r\n" + "".join(f"{line}\r\n" for line in stated) + "\r\n").encode()
        if each is None:
            self._send(head)
            return
        for at in range(len(head)):
            self._wait(each)
            self._send(head[at : at + 1])

    def _body(self, served: ServedRange, data: bytes) -> None:
        view = memoryview(data)
        rate = self._server._rate
        piece = _PIECE if rate is None else max(1, min(_PIECE, int(rate / 20)))
        for at in range(0, len(view), piece):
            part = view[at : at + piece]
            if rate is not None:
                self._wait(len(part) / rate)
            self._send(part)
            served.sent += len(part)

    def _send(self, data: bytes | memoryview) -> None:
        self._connection.sendall(data)

    def _wait(self, seconds: float) -> None:
        """Sleeps, unless the server closes or the client goes away."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._server._closing.wait(min(left, 0.2)):
                raise HangUp
            if left > 0.2 and self._client_gone():
                raise HangUp

    def _client_gone(self) -> bool:
        if isinstance(self._connection, ssl.SSLSocket):
            return False
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
