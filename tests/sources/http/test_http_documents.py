"""Lists and checksums from servers: taken when they are whole, whatever ends the connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from skyhaul_connectors.sources.catalogue import blocking
from skyhaul_connectors.sources.opening import open_source
from skyhaul_schemas.errors import ConnectionLost
from skyhaul_schemas.job.model import SourceSpec

LINES = [f'{{"url": "http://127.0.0.1:9/{n}.txt", "size": 3, "sha256": "{n:064x}"}}\n' for n in range(5)]
WHOLE = "".join(LINES).encode()
CUT = "".join(LINES[:3]).encode()


@contextmanager
def serving(
    bodies: Sequence[bytes], head: bytes = b"HTTP/1.0 200 OK\r\n\r\n"
) -> Iterator[tuple[str, list[int]]]:
    """A server whose answers state no end: each connection gets the next body, the last one for good."""
    asked: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    if connection.recv(65536):
                        connection.sendall(head + bodies[min(len(asked), len(bodies) - 1)])
                        asked.append(1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/objects.jsonl", asked
        listening.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "pause", lambda state: 0.0)


def paths(url: str) -> list[str]:
    source = open_source("far", SourceSpec.model_validate({"url": {"list": url}}))
    try:
        return sorted(obj.path for obj in source.listing())
    finally:
        source.close()


def test_a_list_of_which_nothing_states_the_end_is_proved_by_a_second_answer() -> None:
    with serving([WHOLE]) as (url, asked):
        assert len(paths(url)) == len(LINES)
        assert len(asked) == 2


@pytest.mark.parametrize(
    "bodies", [[CUT, WHOLE, WHOLE], [WHOLE, CUT, WHOLE], [CUT, CUT[:-1], CUT, WHOLE, WHOLE]]
)
def test_a_list_that_was_cut_between_two_lines_is_asked_for_again(bodies: list[bytes]) -> None:
    with serving(bodies) as (url, _):
        assert len(paths(url)) == len(LINES)


def test_a_list_that_never_ends_alike_is_refused() -> None:
    longer = [WHOLE + LINES[0].encode() * n for n in range(40)]
    told = "does not state how long it is, and two answers differ"
    with serving(longer) as (url, _), pytest.raises(ConnectionLost, match=told):
        paths(url)


def test_a_list_that_states_its_end_is_asked_for_once() -> None:
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(WHOLE)
    with serving([WHOLE], head) as (url, asked):
        assert len(paths(url)) == len(LINES)
        assert len(asked) == 1


def test_checksums_of_which_nothing_states_the_end_are_proved_too(tmp_path: Path) -> None:
    sums = b"".join(b"%064x  %d.txt\n" % (n, n) for n in range(3))
    with serving([sums[:67], sums, sums]) as (url, asked):
        spec = SourceSpec.model_validate({"url": f"{tmp_path}/*.txt", "checksums": url})
        for n in range(3):
            (tmp_path / f"{n}.txt").write_text("abc")
        found = list(open_source("here", spec).listing())
        assert [obj.checksum for obj in sorted(found, key=lambda obj: obj.path)] == [
            f"sha256:{n:064x}" for n in range(3)
        ]
        assert len(asked) == 4
