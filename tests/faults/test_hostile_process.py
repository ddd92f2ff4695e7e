"""The hostile server as its own process counts what it sent, survives its client, and dies with its test."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest

from faults.hostile_http import HostileServer
from faults.hostile_process import hostile_process
from faults.http_faults import HttpFault, parse_fault
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import RangeRequest, Route
from skyhaul_schemas.job.model import SourceSpec
from sources.http.http_rig import pinned, source_for
from sources.recording import Recorder, fetch


def test_it_serves_a_folder_with_faults_and_logs_each_answer(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.bin").write_bytes(bytes(range(256)) * 100)
    log = tmp_path / "ranges.jsonl"
    with hostile_process(root, log, "--fault", "a.bin=status,status=503", "--send-buffer", "8192") as server:
        source = open_source("remote", SourceSpec(url=server.url + "*.bin"))
        (obj,) = source.listing()  # its HEAD gets the 503, and is tried again
        outcomes, _ = asyncio.run(fetch(source, [(obj, 0, 10_000)]))
        assert outcomes[0].whole == (root / "a.bin").read_bytes()[:10_000]
        ranges = [r for r in server.ranges() if r["method"] == "GET" and r["path"] == "a.bin"]
        assert [(r["start"], r["end"], r["sent"]) for r in ranges] == [(0, 5000, 5000), (5000, 10_000, 5000)]
        port = server.port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "nothing is left behind"


def test_faults_are_written_as_text() -> None:
    assert parse_fault("stall,after=5,seconds=2.5") == HttpFault("stall", after=5, seconds=2.5)
    assert parse_fault("redirect,location=http://h/x") == HttpFault("redirect", location="http://h/x")
    for wrong in ("nonsense", "stall,nonsense=1"):
        with pytest.raises(ValueError, match="nonsense"):
            parse_fault(wrong)


@pytest.mark.parametrize("size", [20_000, None])
def test_the_receive_buffer_is_set_before_the_connection_opens(size: int | None) -> None:
    with HostileServer({"a.bin": b"x" * 1000}) as server:
        source = source_for(server)
        source.receive_buffer = size

        async def main() -> int:
            events = Recorder()
            channel = source.connect(events, Route())
            events.ask(channel, RangeRequest(pinned(server, "a.bin"), 0, 1000, 0))
            await events.settle()
            (connection,) = channel._connections.values()
            assert connection._transport is not None
            inner = connection._transport.get_extra_info("socket")
            found = int(inner.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))
            channel.close()
            await asyncio.sleep(0)
            return found

        found = asyncio.run(main())
        assert found == 2 * size if size else found > 50_000  # Linux doubles it, socket(7)


def test_the_server_holds_a_connection_to_its_rate() -> None:
    with HostileServer({"a.bin": b"x" * 40_000}, rate=100_000) as server:
        start = time.monotonic()
        asyncio.run(fetch(source_for(server), [(pinned(server, "a.bin"), 0, 40_000)]))
        assert time.monotonic() - start > 0.35
