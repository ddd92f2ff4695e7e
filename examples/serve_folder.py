"""Serve a folder over HTTP as skyhaul likes it: exact ranges, strong ETags, and a list of the objects.

    python examples/serve_folder.py FOLDER --port 8000

`/objects.jsonl` lists every file with its url, size and sha256. Bound to loopback. For rehearsals; in the
field any server that answers ranges will do (nginx, Apache, an object store).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LIST = "/objects.jsonl"


class FolderServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        self.files = {
            "/" + urllib.parse.quote(path.relative_to(folder).as_posix()): path
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        self.digests = {
            name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in self.files.items()
        }
        self.listing = "".join(self._lines()).encode()

    def _lines(self) -> Iterator[str]:
        for name, path in self.files.items():
            entry = {"url": self.base + name, "size": path.stat().st_size, "sha256": self.digests[name]}
            yield json.dumps(entry) + "\n"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FolderServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        name = self.path.partition("?")[0]
        if name == LIST:
            self._send(HTTPStatus.OK, self.server.listing, {}, with_body)
            return
        path = self.server.files.get(name)
        if path is None:
            self._send(HTTPStatus.NOT_FOUND, b"", {}, with_body)
            return
        etag = f'"{self.server.digests[name]}"'
        if self.headers.get("If-Match") not in (None, etag, "*"):
            self._send(HTTPStatus.PRECONDITION_FAILED, b"", {"ETag": etag}, with_body)
            return
        head = {"ETag": etag, "Accept-Ranges": "bytes"}
        size = path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None:
            self._send(HTTPStatus.OK, path.read_bytes(), head, with_body)
            return
        first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
        if first > last:
            head["Content-Range"] = f"bytes */{size}"
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", head, with_body)
            return
        with path.open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        head["Content-Range"] = f"bytes {first}-{last}/{size}"
        self._send(HTTPStatus.PARTIAL_CONTENT, body, head, with_body)

    def _send(self, status: HTTPStatus, body: bytes, head: dict[str, str], with_body: bool) -> None:
        self.send_response(status)
        for name, value in {**head, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent: a rehearsal asks for thousands of ranges."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    arguments = parser.parse_args()
    if not arguments.folder.is_dir():
        parser.error(f"{arguments.folder} is no folder")
    server = FolderServer(arguments.folder, arguments.port)
    print(f"export SKYHAUL_HTTP={server.base}", flush=True)
    print(f"serving {len(server.files)} files; Ctrl-C ends it", file=sys.stderr)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
