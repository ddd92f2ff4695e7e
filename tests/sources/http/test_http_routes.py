"""How a link is reached: a source address, an interface, a proxy, another base URL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.certificates import make_authority
from faults.hostile_http import HostileServer
from faults.http_faults import HttpFault
from faults.tunnel_proxy import TunnelProxy
from skyhaul_connectors.sources.http.proxy import parse_proxy
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import Route
from skyhaul_schemas.errors import CarriageError, ConnectFailed, ProxyRefused, RedirectRefused, UsageError
from skyhaul_schemas.job.model import SourceSpec
from sources.http.http_rig import pinned, source_for
from sources.recording import Outcome, Recorder, fetch

PATH = "a.bin"
DATA = bytes(range(256)) * 400
KINDS = ("http", "socks5")


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with HostileServer({PATH: DATA}) as server:
        yield server


def ask(server: HostileServer, route: Route, url: str | None = None) -> tuple[list[Outcome], Recorder]:
    source = source_for(url or server)
    with asyncio.Runner() as runner:
        return runner.run(fetch(source, [(pinned(server, PATH), 5, 70_000)], route=route))


def refusal(server: HostileServer, route: Route) -> CarriageError | None:
    outcomes, events = ask(server, route)
    assert not any(outcome.done for outcome in outcomes)
    return events.closed_with


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("credentials", [None, ("w st", "a:b@c/")])
def test_ranges_come_through_a_proxy(
    server: HostileServer, kind: str, credentials: tuple[str, str] | None
) -> None:
    with TunnelProxy(kind, credentials=credentials) as proxy:
        url = proxy.url if credentials is None else proxy.with_credentials("w%20st", "a%3Ab%40c%2F")
        outcomes, _ = ask(server, Route(proxy=url))
        assert outcomes[0].whole == DATA[5:70_005]
        assert proxy.carried > 70_000
        assert set(proxy.asked) == {("127.0.0.1", server.port)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_proxy_resolves_the_server_s_name(server: HostileServer, kind: str) -> None:
    name = "only-the-proxy-knows.invalid"
    with TunnelProxy(kind, names={name: "127.0.0.1"}) as proxy:
        outcomes, _ = ask(server, Route(proxy=proxy.url), f"http://{name}:{server.port}/")
        assert outcomes[0].whole == DATA[5:70_005]
        assert proxy.asked[0][0] == name


@pytest.mark.parametrize("kind", KINDS)
def test_tls_ends_at_the_server_and_not_at_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ca_file, context = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    with HostileServer({PATH: DATA}, tls=context) as secure, TunnelProxy(kind) as proxy:
        outcomes, _ = ask(secure, Route(proxy=proxy.url))
        assert outcomes[0].whole == DATA[5:70_005]


def test_an_answer_to_connect_may_come_in_pieces(server: HostileServer) -> None:
    with TunnelProxy("http", mood="dribble") as proxy:
        outcomes, _ = ask(server, Route(proxy=proxy.url))
        assert outcomes[0].whole == DATA[5:70_005]


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_credentials_are_refused_in_one_line_without_them(server: HostileServer, kind: str) -> None:
    with TunnelProxy(kind, credentials=("me", "right")) as proxy:
        for url in (proxy.url, proxy.with_credentials("me", "c4n4ry")):
            error = refusal(server, Route(proxy=url))
            assert isinstance(error, ProxyRefused)
            assert f"{kind}://127.0.0.1:{proxy.port}" in str(error)
            assert "c4n4ry" not in str(error) + repr(error)
            assert "\n" not in str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mood", "expected"),
    [
        ("refuse", ProxyRefused),
        ("garbage", ProxyRefused),
        ("unreachable", ConnectFailed),
        ("cut", ConnectFailed),
    ],
)
def test_what_a_proxy_may_do_to_us(
    server: HostileServer, kind: str, mood: str, expected: type[CarriageError]
) -> None:
    with TunnelProxy(kind, mood=mood) as proxy:
        assert type(refusal(server, Route(proxy=proxy.url))) is expected


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_is_not_there_is_a_failed_connection(server: HostileServer, kind: str) -> None:
    with TunnelProxy(kind) as proxy:
        url = proxy.url
    error = refusal(server, Route(proxy=url))
    assert isinstance(error, ConnectFailed)


def test_a_route_binds_towards_the_proxy(server: HostileServer) -> None:
    with TunnelProxy("socks5") as proxy:
        outcomes, _ = ask(server, Route(bind="127.0.0.9", proxy=proxy.url))
        assert outcomes[0].whole == DATA[5:70_005]
        assert set(proxy.from_addresses) == {"127.0.0.9"}


def test_a_route_binds_to_an_interface(server: HostileServer) -> None:
    if os.geteuid() != 0:
        pytest.skip("SO_BINDTODEVICE needs CAP_NET_RAW")
    outcomes, _ = ask(server, Route(bind="lo"))
    assert outcomes[0].whole == DATA[5:70_005]
    assert isinstance(refusal(server, Route(bind="no-such-if0")), ConnectFailed)


def test_a_redirect_to_a_private_address_is_refused_through_a_proxy_too(server: HostileServer) -> None:
    name = "public.invalid"
    with HostileServer({PATH: DATA}) as inner, TunnelProxy("http", names={name: "127.0.0.1"}) as proxy:
        server.faults.always(PATH, HttpFault("redirect", location=f"{inner.url}{PATH}"))
        source = source_for(f"http://{name}:{server.port}/", options={"redirect_hosts": ["127.0.0.1"]})
        with asyncio.Runner() as runner:
            outcomes, _ = runner.run(
                fetch(source, [(pinned(server, PATH), 0, 10)], route=Route(proxy=proxy.url))
            )
        assert isinstance(outcomes[0].error, RedirectRefused)
        assert inner.ranges() == []


def test_a_plan_is_made_through_the_proxy(server: HostileServer) -> None:
    name = "only-the-proxy-knows.invalid"
    with TunnelProxy("http", names={name: "127.0.0.1"}) as proxy:
        spec = SourceSpec(url=f"http://{name}:{server.port}/*.bin")
        with contextlib.closing(open_source("s", spec, route=Route(proxy=proxy.url))) as source:
            (obj,) = source.listing()
            assert (obj.path, obj.size) == (PATH, len(DATA))
            assert source.read_now(obj, 1, 300) == DATA[1:301]


@pytest.mark.parametrize(
    "text",
    [
        "https://h:1",
        "socks4://h:1",
        "http://",
        "http://h:99999",
        "socks5://h:1/path",
        "socks5://a%00:b@h:1",
        "socks5://%C3%BC:b@h:1",
    ],
)
def test_what_is_no_proxy_is_said_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="proxy") as caught:
        parse_proxy(text)
    assert text not in str(caught.value)
    with pytest.raises(UsageError):
        source_for("http://127.0.0.1:1/").check_route(Route(proxy=text))


# Others' proxies


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_proxy_py_lets_us_through_with_its_credentials_only(server: HostileServer, tmp_path: Path) -> None:
    port = free_port()
    command = [
        sys.executable, "-m", "proxy", "--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1",
        "--num-acceptors", "1", "--basic-auth", "me:s3cret", "--data-dir", str(tmp_path / "data"),
    ]  # fmt: skip
    with running(command, port, tmp_path / "log"):
        outcomes, _ = ask(server, Route(proxy=f"http://me:s3cret@127.0.0.1:{port}"))
        assert outcomes[0].whole == DATA[5:70_005]
        assert isinstance(refusal(server, Route(proxy=f"http://me:wrong@127.0.0.1:{port}")), ProxyRefused)


def test_an_ssh_tunnel_is_a_socks_proxy(server: HostileServer, tmp_path: Path) -> None:
    sshd, ssh, keygen = (shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") for name in (
        "sshd", "ssh", "ssh-keygen"
    ))  # fmt: skip
    if sshd is None or ssh is None or keygen is None or os.geteuid() != 0:
        pytest.skip("needs OpenSSH's ssh, sshd and ssh-keygen, and root for a throw-away sshd")
    for key in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / key)], check=True)
    (tmp_path / "authorized").write_text((tmp_path / "user.pub").read_text())
    (tmp_path / "authorized").chmod(0o600)
    there, here = free_port(), free_port()
    config = tmp_path / "sshd_config"
    config.write_text(
        f"Port {there}\nListenAddress 127.0.0.1\nHostKey {tmp_path / 'host'}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {tmp_path / 'authorized'}\nStrictModes no\nPermitRootLogin prohibit-password\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    tunnel = [
        ssh, "-N", "-D", f"127.0.0.1:{here}", "-p", str(there), "-i", str(tmp_path / "user"), "-F", "none",
        "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'known'}",
        "-o", "BatchMode=yes", "root@127.0.0.1",
    ]  # fmt: skip
    with (
        running([sshd, "-D", "-e", "-f", str(config)], there, tmp_path / "sshd.log"),
        running(tunnel, here, tmp_path / "ssh.log"),
    ):
        outcomes, _ = ask(server, Route(proxy=f"socks5://127.0.0.1:{here}"))
        assert outcomes[0].whole == DATA[5:70_005]
