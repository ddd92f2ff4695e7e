"""A server that compares request targets letter by letter, as object stores and application servers do."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class Page:
    """An index page, or any whole answer. A status of 0: none, the server hangs up."""

    body: str | bytes
    kind: str = "text/html; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        target = self.requestline.split(" ")[1]  # `path` has lost a second slash at its start
        owner = self.server.owner
        owner.log.append((self.command, target))
        part = "range" if self.headers.get("Range") else "whole"
        odd = owner.odd.get((f"{self.command} {part}", target)) or owner.odd.get((self.command, target))
        if odd is not None:
            self._page(odd)
        elif target in owner.pages:
            page = owner.pages[target]
            self._page(page if isinstance(page, Page) else Page(page))
        elif target in owner.objects:
            self._object(owner.objects[target])
        else:
            self._page(Page("no", status=404))

    def _page(self, page: Page) -> None:
        body = page.body.encode() if isinstance(page.body, str) else page.body
        self._send(page.status, body, {"Content-Type": page.kind, **page.headers})

    def _object(self, data: bytes) -> None:
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Content-Type": "application/octet-stream"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if asked is None or self.command == "HEAD":
            self._send(200, data, headers)
            return
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        if first >= len(data):
            self._send(416, b"", {**headers, "Content-Range": f"bytes */{len(data)}"})
        else:
            where = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
            self._send(206, data[first : last + 1], {**headers, **where})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        if not {"Content-Length", "Transfer-Encoding"} & headers.keys():
            self.send_header("Content-Length", str(len(body)))
        if headers.get("Content-Length") == "":
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    owner: SpelledServer


class SpelledServer:
    """objects, pages: by the request target as it is spelled. odd: answers by (method, target); of `GET
    range` and `GET whole` to requests with and without a range. A header with the value "" is not sent, and
    without a Content-Length the connection ends the body. log: what was asked."""

    def __init__(
        self,
        objects: Mapping[str, bytes] | None = None,
        pages: Mapping[str, Page | str] | None = None,
        odd: Mapping[tuple[str, str], Page] | None = None,
    ) -> None:
        self.objects = dict(objects or {})
        self.pages = dict(pages or {})
        self.odd = dict(odd or {})
        self.log: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
