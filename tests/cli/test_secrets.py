"""A canary secret from outside is in no output, no artefact and no argument list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cli.jobs import write_job
from cli.program import call, spawn

CANARY = "canary-7f3a91"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """A server whose objects want a bearer token: two with it, one that it refuses at all times."""
    from http.server import BaseHTTPRequestHandler

    bodies = {f"/part-{n}.jsonl": json.dumps({"text": f"text {n}"}).encode() + b"\n" for n in range(3)}

    class Guard(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.partition("?")[0]
            body = bodies.get(name, b"")
            if name == "/objects.jsonl":
                lines = (
                    {"url": f"{base}{path}?sig={CANARY}", "size": len(body)} for path, body in bodies.items()
                )
                body = "".join(json.dumps(line) + "\n" for line in lines).encode()
            status = 200 if self.headers.get("Authorization") == f"Bearer {CANARY}" else 401
            if name == "/part-2.jsonl" and "Range" in self.headers:
                status = 403
            extra = {"ETag": f'"{name}"', "Accept-Ranges": "bytes"}
            if status == 200 and self.headers.get("Range", "").startswith("bytes="):
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                stop = min(int(last) + 1, len(body))
                extra["Content-Range"] = f"bytes {first}-{stop - 1}/{len(body)}"
                body, status = body[int(first) : stop], 206
            self.send_response(status)
            for key, value in {**extra, "Content-Length": str(len(body) if status < 400 else 0)}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET" and status < 400:
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Guard) as server:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        Thread(target=server.serve_forever, daemon=True).start()
        yield base
        server.shutdown()


@pytest.mark.parametrize("token", ["${SKYHAUL_TEST_TOKEN}", "${file:FOLDER/token}"])
def test_a_haul_with_credentials_and_a_failure_leaves_none_of_them_behind(
    guarded: str, tmp_path: Path, token: str
) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    place = tmp_path / "place"
    place.mkdir()
    source = {
        "url": {"list": "${SKYHAUL_TEST_LIST}"},
        "format": "jsonl",
        "fields": {"text": "text"},
        "options": {"headers": {"Authorization": f"Bearer {token}".replace("FOLDER", str(tmp_path))}},
    }
    job = write_job(place, sources={"web": source}, shards={"target_size": "10B"})
    env = {
        "SKYHAUL_TEST_LIST": f"{guarded}/objects.jsonl?token={CANARY}",
        "SKYHAUL_TEST_TOKEN": CANARY,
        "TMPDIR": str(place),
    }
    said = ""
    for run, args in (
        (call, ["plan", "-v"]),
        (spawn, ["run", "-v"]),
        (call, ["run", "--log-format", "json"]),
        (call, ["status"]),
        (call, ["failures", "--json"]),
    ):
        answer = run(*args, job, env=env)
        assert answer.code in (0, 3), answer
        said += answer.out + answer.err
    assert answer.code == 3, "the refused object failed"
    assert "AccessRefused" in said
    assert CANARY not in said
    kept = [path for path in place.rglob("*") if path.is_file()]
    assert len(list((place / "dataset" / "data").rglob("*.parquet"))) == 2
    assert [path.name for path in kept if CANARY.encode() in path.read_bytes()] == []
