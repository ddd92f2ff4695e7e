"""TLS is verified, by the certificates of SSL_CERT_FILE, and there is no way around it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import trustme
import uvloop

from faults.certificates import make_authority
from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from skyhaul_connectors.sources.opening import open_source
from skyhaul_schemas.errors import ConnectFailed, ConnectionLost, TlsFailed
from skyhaul_schemas.job.model import SourceSpec
from sources.http.http_rig import pinned, source_for
from sources.recording import fetch, first_opening

DATA = bytes(range(256)) * 2000


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_certificate_of_the_named_authority_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: object
) -> None:
    ca_file, context = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with HostileServer({"a.bin": DATA}, tls=context) as server:
        obj = pinned(server, "a.bin")
        wanted = [(obj, 0, 300_000), (obj, 300_000, 1000)]
        outcomes, _ = run(fetch(source_for(server), wanted))  # type: ignore[operator]  # one of two runners
    assert outcomes[0].whole == DATA[:300_000]
    assert outcomes[1].whole == DATA[300_000:301_000]


def test_hand_shakes_take_several_round_trips_and_are_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file, context = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with HostileServer({"a.bin": DATA}, tls=context) as server:
        assert asyncio.run(first_opening(source_for(server))).timed is False


def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    _, context = make_authority(tmp_path)
    with HostileServer({"a.bin": DATA}, tls=context) as server:
        _, events = asyncio.run(fetch(source_for(server), [(pinned(server, "a.bin"), 0, 10)]))
        assert isinstance(events.closed_with, TlsFailed)
        assert not server.log


def test_a_certificate_for_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    with HostileServer({"a.bin": DATA}, tls=context) as server:
        _, events = asyncio.run(fetch(source_for(server), [(pinned(server, "a.bin"), 0, 10)]))
        assert isinstance(events.closed_with, TlsFailed)
        assert not server.log


def test_a_plain_server_behind_https_is_no_fallback() -> None:
    with HostileServer({"a.bin": DATA}) as server:
        source = source_for(server.url.replace("http://", "https://"))
        _, events = asyncio.run(fetch(source, [(pinned(server, "a.bin"), 0, 10)]))
        assert isinstance(events.closed_with, TlsFailed | ConnectFailed)
        assert not server.ranges()


def test_a_connection_cut_amid_tls_is_lost_and_not_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca_file, context = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with HostileServer({"a.bin": DATA}, tls=context) as server:
        server.faults.always("a.bin", HttpFault("drop", after=30_000))
        outcomes, events = asyncio.run(fetch(source_for(server), [(pinned(server, "a.bin"), 0, 100_000)]))
        assert not outcomes[0].done
        assert isinstance(events.closed_with, ConnectionLost)
        assert DATA.startswith(outcomes[0].data)


def test_listing_verifies_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file, context = make_authority(tmp_path)
    with HostileServer({"a.bin": DATA}, tls=context) as server:
        spec = SourceSpec(url=server.url + "*.bin")
        with pytest.raises(TlsFailed):
            list(open_source("remote", spec).listing())
        monkeypatch.setenv("SSL_CERT_FILE", ca_file)
        assert [obj.path for obj in open_source("remote", spec).listing()] == ["a.bin"]
