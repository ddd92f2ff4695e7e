"""Redirects: few, never down to http, only to allowed hosts, never inwards, never with secrets."""

from __future__ import annotations

import asyncio
import random
import socket
from pathlib import Path
from typing import Any

import pytest

from faults.certificates import make_authority
from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from skyhaul_connectors.sources.http import network as http_network
from skyhaul_connectors.sources.http.source import HttpSource
from skyhaul_schemas.errors import CarriageError, RedirectRefused
from skyhaul_schemas.plan import PinnedObject
from sources.http.http_rig import pinned, source_for
from sources.recording import Outcome, Recorder, fetch

DATA = random.Random(3).randbytes(50_000)
PATH = "a.bin"


def run_fetch(source: HttpSource, obj: PinnedObject, count: int = 1) -> tuple[list[Outcome], Recorder]:
    return asyncio.run(fetch(source, [(obj, i * 1000, 1000) for i in range(count)]))


def error_of(outcomes: list[Outcome]) -> CarriageError:
    error = outcomes[0].error
    assert error is not None
    return error


@pytest.fixture
def two_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`origin.test` and `cdn.test` are this machine, and count as public; `inner.test` is private."""
    real = asyncio.BaseEventLoop.getaddrinfo

    async def getaddrinfo(self: Any, host: str, port: int, **kwargs: Any) -> Any:
        known = {"origin.test": "127.0.0.1", "cdn.test": "127.0.0.2", "inner.test": "127.0.0.3"}
        if host in known:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port))]
        return await real(self, host, port, **kwargs)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(http_network, "is_public_address", lambda a: a in ("127.0.0.1", "127.0.0.2"))


def test_a_redirect_on_the_same_server_is_followed_and_remembered() -> None:
    with HostileServer({PATH: DATA, "moved/a.bin": DATA}) as server:
        server.faults.always(PATH, HttpFault("redirect", location="/moved/a.bin"))
        outcomes, _ = run_fetch(source_for(server), pinned(server, PATH), 5)
        assert [o.whole for o in outcomes] == [DATA[i * 1000 : (i + 1) * 1000] for i in range(5)]
        assert len(server.ranges(PATH)) <= 2, "later ranges go where the redirect led"


def test_a_remembered_redirect_that_fails_is_asked_for_anew() -> None:
    with HostileServer({PATH: DATA, "old/a.bin": DATA, "new/a.bin": DATA}) as server:
        server.faults.always(PATH, HttpFault("redirect", location="/old/a.bin"))
        source, obj = source_for(server), pinned(server, PATH)
        run_fetch(source, obj)
        server.faults.always(PATH, HttpFault("redirect", location="/new/a.bin"))
        server.faults.always("old/a.bin", HttpFault("status", status=403))
        outcomes, _ = run_fetch(source, obj, 3)
        assert [o.whole for o in outcomes] == [DATA[i * 1000 : (i + 1) * 1000] for i in range(3)]


def test_a_redirect_loop_ends_after_three_hops() -> None:
    with HostileServer({PATH: DATA}) as server:
        server.faults.always(PATH, HttpFault("redirect-loop"))
        outcomes, _ = run_fetch(source_for(server), pinned(server, PATH))
        assert isinstance(error_of(outcomes), RedirectRefused)
        assert "more than 3" in str(error_of(outcomes))
        assert len([r for r in server.ranges(PATH) if r.start == 0]) == 4


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file, context = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with HostileServer({PATH: DATA}) as plain, HostileServer({PATH: DATA}, tls=context) as server:
        server.faults.always(PATH, HttpFault("redirect", location=f"{plain.url}{PATH}"))
        outcomes, _ = run_fetch(source_for(server), pinned(server, PATH))
        assert isinstance(error_of(outcomes), RedirectRefused)
        assert "https to http" in str(error_of(outcomes))
        assert not plain.log


def test_a_redirect_from_http_to_https_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca_file, context = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with HostileServer({PATH: DATA}, tls=context) as safe, HostileServer({PATH: DATA}) as server:
        server.faults.always(PATH, HttpFault("redirect", location=f"{safe.url}{PATH}"))
        outcomes, _ = run_fetch(source_for(server), pinned(server, PATH), 3)
        assert [o.whole for o in outcomes] == [DATA[i * 1000 : (i + 1) * 1000] for i in range(3)]


@pytest.mark.usefixtures("two_hosts")
def test_a_redirect_to_a_host_that_is_not_allowed_is_refused_and_says_how_to_allow_it() -> None:
    with HostileServer({PATH: DATA}) as server:
        server.faults.always(PATH, HttpFault("redirect", location=f"http://cdn.test:{server.port}/x"))
        outcomes, _ = run_fetch(source_for(f"http://origin.test:{server.port}/"), pinned(server, PATH))
        assert isinstance(error_of(outcomes), RedirectRefused)
        assert "redirect_hosts" in str(error_of(outcomes))


@pytest.mark.usefixtures("two_hosts")
@pytest.mark.parametrize("allowed", ["cdn.test", "*.test"])
def test_a_redirect_to_an_allowed_host_is_followed_without_the_headers(allowed: str) -> None:
    with (
        HostileServer({PATH: DATA}) as server,
        HostileServer({"moved.bin": DATA}, host="127.0.0.2") as cdn,
    ):
        server.faults.always(PATH, HttpFault("redirect", location=f"http://cdn.test:{cdn.port}/moved.bin"))
        options = {
            "redirect_hosts": [allowed],
            "headers": {"Authorization": "Bearer CANARY", "X-Api-Key": "CANARY"},
        }
        source = source_for(f"http://origin.test:{server.port}/", options=options)
        outcomes, _ = run_fetch(source, pinned(server, PATH), 4)
        assert [o.whole for o in outcomes] == [DATA[i * 1000 : (i + 1) * 1000] for i in range(4)]
        assert server.log[0].headers["authorization"] == "Bearer CANARY"
        for request in cdn.log:
            assert "CANARY" not in str(request.headers)
            assert request.headers["if-match"] == f"{server.objects.etag(PATH)}"


@pytest.mark.usefixtures("two_hosts")
@pytest.mark.parametrize("target", ["inner.test", "127.0.0.3"])
def test_a_redirect_to_a_private_address_is_refused_even_where_the_host_is_allowed(target: str) -> None:
    with HostileServer({PATH: DATA}) as server, HostileServer({PATH: DATA}, host="127.0.0.3") as inner:
        server.faults.always(PATH, HttpFault("redirect", location=f"http://{target}:{inner.port}/{PATH}"))
        source = source_for(f"http://origin.test:{server.port}/", options={"redirect_hosts": [target]})
        outcomes, _ = run_fetch(source, pinned(server, PATH))
        assert isinstance(error_of(outcomes), RedirectRefused)
        assert not inner.log
        assert inner.connections == 0


@pytest.mark.usefixtures("two_hosts")
def test_private_addresses_are_dialled_where_the_job_says_so() -> None:
    with HostileServer({PATH: DATA}) as server, HostileServer({PATH: DATA}, host="127.0.0.3") as inner:
        server.faults.always(PATH, HttpFault("redirect", location=f"http://inner.test:{inner.port}/{PATH}"))
        options = {"redirect_hosts": ["inner.test"], "private_redirects": True}
        source = source_for(f"http://origin.test:{server.port}/", options=options)
        outcomes, _ = run_fetch(source, pinned(server, PATH))
        assert outcomes[0].whole == DATA[:1000]


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::127.0.0.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::8.8.8.8", True),
        ("64:ff9b:1::8.8.8.8", False),
        ("2002:7f00:1::", False),
        ("2002:a9fe:a9fe::1", False),
        ("2002:808:808::1", True),
        ("::127.0.0.1", False),
        ("::8.8.8.8", False),
        ("::ffff:0:127.0.0.1", False),
        ("::ffff:0:8.8.8.8", True),
        ("::", False),
        ("ff02::1", False),
        ("2001::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert http_network.is_public_address(address) is public


@pytest.mark.parametrize(
    "location",
    ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://user:pw@127.0.0.1/", "//", "http://[::1", "/a\tb"],
)
def test_a_redirect_to_what_is_no_plain_http_url_is_refused(location: str) -> None:
    with HostileServer({PATH: DATA}) as server:
        server.faults.always(PATH, HttpFault("redirect", location=location))
        outcomes, _ = run_fetch(source_for(server), pinned(server, PATH))
        assert isinstance(error_of(outcomes), RedirectRefused)


def test_another_origin_that_cannot_be_reached_fails_its_requests_alone() -> None:
    with HostileServer({PATH: DATA, "b.bin": DATA}) as server:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = unused.getsockname()[1]
        server.faults.always(PATH, HttpFault("redirect", location=f"http://127.0.0.1:{dead}/x"))
        source = source_for(server)
        wanted = [(pinned(server, PATH), 0, 1000), (pinned(server, "b.bin"), 0, 1000)]
        outcomes, events = asyncio.run(fetch(source, wanted))
        assert outcomes[0].error is not None
        assert outcomes[1].whole == DATA[:1000]
        assert events.closed_with is None
