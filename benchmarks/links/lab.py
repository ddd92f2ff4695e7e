"""One emulated link with a server behind it: linklab's namespaces, nginx, and the kernel's counters.

Needs root, /dev/net/tun, iproute2, gcc and nginx; `missing` says what is not there. All traffic stays in
two namespaces of their own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import WIRE, LinkKind

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "examples" / "flink"))
from fetch import go_tool  # noqa: E402  # where pinned programs come from

SERVER, SECOND_SERVER = "10.77.0.1", "10.78.0.1"
SAMPLE = 0.01
"""Seconds between two looks at the receiver's counters."""

HEADERS = 52
"""IP, TCP and time stamps of a packet that carries payload."""

ETHERNET = 14
"""What a frame of the kernel's own wire counts besides."""

_NGINX = """\
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
daemon off;
user root;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{ listen {server}:80; root {site}; autoindex on; }}
    {tls}
}}
"""
_TLS = """server {{ listen {server}:443 ssl; root {site}; autoindex on; ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem; ssl_session_cache shared:s:1m; }}"""


def missing() -> list[str]:
    """What this machine lacks, in words."""
    lacks = [f"{tool} is not installed" for tool in ("gcc", "ip", "nginx", "openssl") if not _find(tool)]
    if os.geteuid():
        lacks.append("not root (network namespaces need it)")
    if not os.path.exists("/dev/net/tun"):
        lacks.append("no /dev/net/tun")
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")
    for control in ("cubic", "bbr"):
        if not known.exists() or control not in known.read_text().split():
            lacks.append(f"the kernel has no {control}")
    return lacks


def _find(tool: str) -> str | None:
    return shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def build(folder: Path) -> Path:
    """Compile the emulator; returns the folder that holds it and its script."""
    lab = folder / "linklab"
    shutil.copytree(HERE / "linklab", lab)
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-o", str(lab / "linkemu"), str(lab / "linkemu.c"), "-lm"], check=True
    )
    for script in (lab / "withlink.sh", *(lab / "bin").iterdir()):
        script.chmod(0o755)
    allowed = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
    if "cubic" not in allowed.read_text().split():
        allowed.write_text("reno cubic bbr")
    return lab


@dataclass(slots=True)
class Flow:
    """What the receiving end counted: (seconds of the monotonic clock, payload bytes, bytes, packets)."""

    seen: list[tuple[float, int, int]] = field(default_factory=list)

    def since(self, begun: float) -> list[tuple[float, int, int]]:
        return [point for point in self.seen if point[0] >= begun]


class Link:
    """A running link. `gw`, `dc`: the names of its namespaces; `beside`: a link into whose data centre this
    one leads as well, under other addresses."""

    def __init__(
        self,
        lab: Path,
        folder: Path,
        kind: LinkKind,
        sender: str,
        seed: int,
        name: str,
        beside: Link | None = None,
    ) -> None:
        self.kind = kind
        self.second: Link | None = None
        self.server, self.device = SERVER, "sat0"
        self.folder = folder
        self.gw, self.dc = f"sky{name}-gw", f"sky{name}-dc"
        self.flow = Flow()
        self.epoch = 0.0
        self._stats = folder / "linkemu.json"
        self._heads = HEADERS
        self._emulator: int | None = None
        self._shell: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()
        if kind.profile == WIRE:
            self._lay(kind, sender)
        else:
            self._emulate(lab, kind, sender, seed)
        if beside is not None:
            self._join(beside)
        self._anchor = subprocess.Popen(self.inside_dc(["cat"]), stdin=subprocess.PIPE)
        while os.readlink(f"/proc/{self._anchor.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            time.sleep(0.01)
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()

    def _emulate(self, lab: Path, kind: LinkKind, sender: str, seed: int) -> None:
        command = [
            str(lab / "withlink.sh"), kind.profile, *kind.keys, f"seed={seed}",
            "--", "sh", "-c", "echo $EMU_PID; exec cat",
        ]  # fmt: skip
        self._shell = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "GW_NS": self.gw,
                "DC_NS": self.dc,
                "GW_CC": sender,
                "DC_CC": "cubic",
                "EMU_STATS": str(self._stats),
            },
        )
        assert self._shell.stdout is not None
        first = self._shell.stdout.readline()
        if not first.strip():
            raise RuntimeError(f"the emulated link did not start (namespaces {self.gw}, {self.dc})")
        self._emulator = int(first)

    def _lay(self, kind: LinkKind, sender: str) -> None:
        """A wire of the kernel's own (a veth pair) behind its token bucket: rate and queue, no delay of its
        own, and next to no CPU."""
        self._heads += ETHERNET
        # No second CPU is taken from the haul. A queue of one round trip makes that round trip.
        shaper = ["rate", f"{kind.down:.0f}bit", "burst", "256kb", "latency", f"{kind.rtt * 1000:.0f}ms"]
        for name in (self.gw, self.dc):
            subprocess.run(["ip", "netns", "add", name], check=True)
        steps = [
            ["ip", "-n", self.gw, "link", "add", "sat0", "type", "veth", "peer", "sat0", "netns", self.dc],
            ["ip", "-n", self.gw, "addr", "add", f"{SERVER}/30", "dev", "sat0"],
            ["ip", "-n", self.dc, "addr", "add", "10.77.0.2/30", "dev", "sat0"],
            *(
                ["ip", "-n", name, "link", "set", device, "up"]
                for name in (self.gw, self.dc)
                for device in ("lo", "sat0")
            ),
            self.inside_gw(["sysctl", "-qw", f"net.ipv4.tcp_congestion_control={sender}"]),
            self.inside_gw(["tc", "qdisc", "add", "dev", "sat0", "root", "tbf", *shaper]),
        ]
        for step in steps:
            subprocess.run(step, check=True)

    def inside_gw(self, command: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", self.gw, *map(str, command)]

    def inside_dc(self, command: Sequence[str | Path]) -> list[str]:
        return ["ip", "netns", "exec", self.dc, *map(str, command)]

    def reset(self) -> None:
        """Empty the link; its clock, seed and counters start anew."""
        if self.second is not None:
            self.second.reset()
        if self._emulator is not None:
            os.kill(self._emulator, signal.SIGUSR2)
        time.sleep(0.05)
        self.epoch = time.monotonic() - 0.05

    def counters(self) -> dict[str, Any]:
        """The emulator's own: see linkemu.c; of a wire none."""
        if self._emulator is None:
            return {}
        before = self._stats.read_text().count("\n")
        os.kill(self._emulator, signal.SIGUSR1)
        end = time.monotonic() + 5
        while (text := self._stats.read_text()).count("\n") == before:
            if time.monotonic() > end:
                raise RuntimeError("the emulator does not answer")
            time.sleep(0.02)
        found: dict[str, Any] = json.loads(text.splitlines()[-1])
        return found

    def die(self) -> None:
        """From now on nothing comes through an emulated link, ever."""
        assert self._emulator is not None
        os.kill(self._emulator, signal.SIGSTOP)

    def close(self) -> None:
        if self._emulator is not None:
            os.kill(self._emulator, signal.SIGCONT)
        self._over.set()
        self._sampler.join()
        assert self._anchor.stdin is not None
        self._anchor.stdin.close()
        self._anchor.wait()
        if self._shell is None:
            for name in (self.gw, self.dc):
                subprocess.run(["ip", "netns", "del", name], check=True)
            return
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait()

    def _join(self, beside: Link) -> None:
        self.server, self.device = SECOND_SERVER, "sat1"
        dc = ["ip", "-n", self.dc]
        steps = [
            ["ip", "-n", self.gw, "addr", "flush", "dev", "sat0"],
            ["ip", "-n", self.gw, "addr", "add", f"{SECOND_SERVER}/30", "dev", "sat0"],
            [*dc, "link", "set", "sat0", "down"],
            [*dc, "link", "set", "sat0", "name", "sat1"],
            [*dc, "link", "set", "sat1", "netns", beside.dc],
            ["ip", "-n", beside.dc, "addr", "add", "10.78.0.2/30", "dev", "sat1"],
            ["ip", "-n", beside.dc, "link", "set", "sat1", "up"],
        ]
        for step in steps:
            subprocess.run(step, check=True)
        self.dc = beside.dc

    def _sample(self) -> None:
        """Payload is what full packets hold beside their headers: exact but for the hand-shakes' options."""
        with open(f"/proc/{self._anchor.pid}/net/dev", encoding="ascii") as table:
            while not self._over.is_set():
                table.seek(0)
                for line in table.read().splitlines():
                    name, _, rest = line.partition(":")
                    if name.strip() == self.device:
                        count, packets = (int(word) for word in rest.split()[:2])
                        self.flow.seen.append((time.monotonic(), count - self._heads * packets, count))
                time.sleep(SAMPLE)


@contextmanager
def serving_s3(link: Link, site: Path) -> Iterator[None]:
    """versitygw behind the link, on port 80, with the files of `site` in the bucket `site`."""
    data, metadata = link.folder / "s3" / "data", link.folder / "s3" / "metadata"
    data.mkdir(parents=True)
    metadata.mkdir()
    keys = s3_environment(link.server)
    address = f"{link.server}:80"
    command = [go_tool("versitygw"), "--quiet", "--keep-alive", "--port", address, "posix"]
    server = subprocess.Popen(
        link.inside_gw([*command, "--sidecar", metadata, data]),
        env={
            **os.environ,
            "ROOT_ACCESS_KEY": keys["AWS_ACCESS_KEY_ID"],
            "ROOT_SECRET_KEY": keys["AWS_SECRET_ACCESS_KEY"],
        },
    )
    try:
        _listens(link)
        subprocess.run(
            link.inside_gw([sys.executable, HERE / "fill_bucket.py", f"http://{address}", site]),
            env={**os.environ, **keys},
            check=True,
        )
        yield
    finally:
        _end(server)


def s3_environment(server: str) -> dict[str, str]:
    """What S3 clients read. The keys are those of this benchmark's server alone."""
    return {
        "AWS_ENDPOINT_URL_S3": f"http://{server}:80",
        "AWS_ACCESS_KEY_ID": "bench-links",
        "AWS_SECRET_ACCESS_KEY": "of-a-server-that-lives-for-one-run",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _listens(link: Link) -> None:
    """Wait until something does, on port 80. Raises RuntimeError."""
    for _ in range(100):
        listening = subprocess.run(
            link.inside_gw(["ss", "-Hltn", "sport = :80"]), capture_output=True, text=True, check=True
        )
        if listening.stdout.strip():
            return
        time.sleep(0.05)
    raise RuntimeError("the server does not listen; see its log")


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(10)
    if server.poll() is None:
        server.kill()
        server.wait()


@contextmanager
def serving(link: Link, site: Path) -> Iterator[None]:
    """nginx behind the link: plain on port 80, TLS on 443 with a certificate of its own (`cert.pem`)."""
    folder = link.folder
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem", "-days", "2", "-subj", "/CN=far",
         "-addext", f"subjectAltName=IP:{link.server}", "-addext", "basicConstraints=critical,CA:TRUE"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    fill = {"folder": folder, "site": site, "server": link.server}
    (folder / "nginx.conf").write_text(_NGINX.format(**fill, tls=_TLS.format(**fill)))
    nginx = _find("nginx")
    assert nginx is not None
    server = subprocess.Popen(link.inside_gw([nginx, "-p", folder, "-c", folder / "nginx.conf"]))
    try:
        _listens(link)
        yield
    finally:
        _end(server)
