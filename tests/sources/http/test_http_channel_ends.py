"""Whatever goes wrong on a channel's way to its server, its owner hears of it, or the loop does."""

from __future__ import annotations

import asyncio
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from faults.hostile_http import HostileServer
from skyhaul_connectors.sources.http.listing.url_list_source import ListFile
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import RangeRequest, Route
from skyhaul_schemas.errors import CarriageError, ConnectFailed, ObjectMissing, StorageError
from skyhaul_schemas.job.model import SourceSpec
from skyhaul_schemas.plan import PinnedObject
from sources.http.http_rig import pinned, source_for
from sources.recording import Recorder

OBJECTS = {"a.txt": b"alpha"}


def listed(server: HostileServer, folder: Path) -> SourceSpec:
    """A source with a list whose URL holds a secret, so that it is read once more for the bytes."""
    path = folder / "objects.jsonl"
    path.write_text(json.dumps({"url": f"{server.url}a.txt?sig=s", "path": "a.txt"}) + "\n")
    return SourceSpec.model_validate({"url": {"list": str(path)}})


def test_a_list_that_cannot_be_read_again_is_told_while_planning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HostileServer(OBJECTS) as server:
        source = open_source("far", listed(server, tmp_path))
        (obj,) = source.listing()

        def full(self: ListFile) -> None:
            raise StorageError("the temporary copy cannot be written: no space left")

        monkeypatch.setattr(ListFile, "index", full)
        with pytest.raises(StorageError, match="no space left"):
            source.read_now(obj, 0, 5)
        source.close()


@pytest.mark.parametrize("error", [StorageError("no space left"), ZeroDivisionError("a bug")])
def test_a_list_that_cannot_be_read_again_closes_the_channel_and_is_told_to_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with HostileServer(OBJECTS) as server:
        source = open_source("far", listed(server, tmp_path))
        (obj,) = source.listing()

        def fails(self: ListFile) -> None:
            raise error

        monkeypatch.setattr(ListFile, "index", fails)
        told: list[Any] = []

        async def main() -> Recorder:
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
            events = Recorder()
            channel = source.connect(events, Route())
            for tag in range(2):
                events.ask(channel, RangeRequest(obj, 0, 5, tag))
            await events.settle(5)
            return events

        events = asyncio.run(main())
        assert events.is_closed
        assert [context["exception"] for context in told] == [error]
        source.close()


def test_a_list_that_was_read_for_its_secrets_is_closed_with_the_source(tmp_path: Path) -> None:
    with HostileServer(OBJECTS) as server:
        source: Any = open_source("far", listed(server, tmp_path))
        (obj,) = source.listing()
        assert source.read_now(obj, 0, 5) == b"alpha"
        file = source._catalogue._index._file
        assert not file.closed
        source.close()
        assert file.closed


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETDOWN, errno.ECONNRESET])
def test_an_error_of_the_system_in_a_handshake_ends_the_channel(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async def fails(self: object, *args: object, **more: object) -> None:
        raise OSError(number, "in the handshake")

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "create_connection", fails)

    async def main(server: HostileServer) -> CarriageError | None:
        events = Recorder()
        source_for(server).connect(events, Route())
        async with asyncio.timeout(5):
            while not events.is_closed:
                events.changed.clear()
                await events.changed.wait()
        return events.closed_with

    with HostileServer(OBJECTS) as server:
        assert isinstance(asyncio.run(main(server)), ConnectFailed)


HOSTILE = [
    'etag:"a"\r\nX-Injected: 1',
    "etag:\r\n\r\nGET /other HTTP/1.1\r\nHost: x",
    "lm:Sun, 22 Nov 2026 12:00:00 GMT\nX-Injected: 1",
    "etag:a\0b",
    "etag:a\x7fb",
]


@pytest.mark.parametrize("version", HOSTILE)
def test_a_version_of_a_plan_puts_no_lines_into_requests(version: str) -> None:
    with HostileServer(OBJECTS) as server:
        source = source_for(server)
        with pytest.raises(ObjectMissing, match="the plan's version cannot be used"):
            source.read_now(pinned(server, "a.txt", version), 0, 5)
        assert not any("X-Injected" in str(request) for request in server.log)
        source.close()


@pytest.mark.parametrize(
    "path", ["a.txt\r\nX-Injected: 1", "a.txt HTTP/1.1\r\nX-Injected: 1\r\n\r\n", "\n", "a?b#c d"]
)
@pytest.mark.parametrize(
    "locator", [None, "./a.txt\r\nX-Injected: 1", "./a b", "http://h/a\r\nX-Injected: 1"]
)
def test_a_path_or_locator_of_a_plan_puts_no_lines_into_requests(path: str, locator: str | None) -> None:
    with HostileServer(OBJECTS) as server:
        source = source_for(server)
        obj = PinnedObject("remote", path, 5, 'etag:"e"', locator=locator)
        try:
            url = source._places(Route(base_url=server.url)).url_of(obj)
        except ObjectMissing:
            return
        assert all("!" <= c <= "~" for c in url.target)
