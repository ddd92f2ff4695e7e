"""Who hauls: skyhaul (a whole haul: plan, run, verify) and the peers, each over one running link."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cases import Case
from lab import HERE, SERVER, Link, s3_environment

PATIENCE, PEER_PATIENCE = 170.0, 100.0
"""Seconds that skyhaul, and a peer, is given for one run."""

_FIRST = 4096
"""Bytes at the receiver that hand-shakes of 256 connections do not reach by their options alone."""

JOB = """\
version: 1
name: bench-links
dataset: dataset
spool: spool
schema: blob
sources:
  far:
    url: {url}/*
    format: binary
    max_connections: 256
"""


VIA = """\
    via: [first, second]
links:
  first: {{base_url: "http://{server}/"}}
  second: {{base_url: "http://{second}/"}}
"""


class RunFailed(Exception):
    """A contender did not bring the files; says who and why."""


class NotThrough(RunFailed):
    """It was not through in time. `rate`: payload bit/s until then."""

    def __init__(self, message: str, rate: float = 0.0) -> None:
        super().__init__(message)
        self.rate = rate


@dataclass(frozen=True, slots=True)
class Measured:
    """One run. rate: payload bit/s from the first to the last byte. seconds: between them. share: of what
    was possible from the first byte on. wire: bytes delivered over payload. cpu: seconds. resent: bytes of
    payload that crossed again, after a kill. points: (seconds since the first byte, bytes) of the receiver.
    outages: as (start, stop) on the same clock. link: the emulator's counters."""

    who: str
    rate: float
    seconds: float
    share: float
    wire: float
    cpu: float
    points: list[tuple[float, int]]
    outages: list[tuple[float, float]]
    link: dict[str, Any]
    resent: int | None = None
    engine: list[list[float | None]] = field(default_factory=list)

    @classmethod
    def not_through(cls, who: str, rate: float, seconds: float) -> Measured:
        """A run that was ended after `seconds`, in which it brought `rate` bit/s. Its share is 0."""
        return cls(who, rate, seconds, 0.0, 0.0, 0.0, [], [], {})


def measure(
    who: str, case: Case, link: Link, site: Path, folder: Path, patience: float = PEER_PATIENCE
) -> Measured:
    """One run of `who`; `patience` is a peer's, in seconds. Raises RunFailed, NotThrough."""
    if who == "skyhaul":
        return _skyhaul(case, link, folder)
    link.reset()
    begun = time.monotonic()
    try:
        cpu = _call(link, peer(who, case), folder, patience)
    except NotThrough as error:
        seen = link.flow.since(begun)
        error.rate = 8 * (seen[-1][1] - seen[0][1]) / patience
        raise
    counters = link.counters()
    _same(site, folder, who)
    return _measured(who, case, link, begun, None, cpu, counters)


def peer(who: str, case: Case) -> list[str]:
    """The command of a peer, as its users would have it go fast."""
    scheme = "https" if case.mode == "tls" else "http"
    root = f"{scheme}://{SERVER}/"
    names = [f"{index:05d}.bin" for index in range(case.files[0])]
    many = len(names) > 1
    match who:
        case "curl" if many:
            listed = ["-Z", "--parallel-max", "16", "--remote-name-all", *(root + name for name in names)]
            return ["curl", "-sSf", *listed]
        case "curl":
            return ["curl", "-sSf", "-O", root + names[0]]
        case "aria2":
            Path("urls").write_text("".join(f"{root}{name}\n" for name in names))
            split = ["-j16"] if many else ["-x16", "-s16", "-k1M"]
            return ["aria2c", "-q", "--file-allocation=none", *split, "-i", os.path.abspath("urls")]
        case "rclone":
            streams = ["--multi-thread-streams", "16", "--multi-thread-cutoff", "1M", "--transfers", "16"]
            return ["rclone", "copy", "--http-url", root, *streams, ":http:", "."]
        case "lftp" if many:
            return ["lftp", "-c", f"mirror --parallel=16 {root} ."]
        case "lftp":
            return ["lftp", "-c", f"pget -n 16 {root}{names[0]}"]
    raise RunFailed(f"no contender {who}")


def _skyhaul(case: Case, link: Link, folder: Path) -> Measured:
    url = {"tls": f"https://{SERVER}", "s3": "s3://site"}.get(case.mode, f"http://{SERVER}")
    job = JOB.format(url=url)
    if link.second is not None:
        job += VIA.format(server=SERVER, second=link.second.server)
    (folder / "job.yaml").write_text(job)
    _call(link, _program(folder, "plan"), folder)
    link.reset()
    begun = time.monotonic()
    if case.mode == "kill":
        _kill_half_way(case, link, folder)
    if case.mode == "die":
        threading.Thread(target=_die_early, args=(case, link), daemon=True).start()
    cpu = _call(link, _program(folder, "run", "--quiet"), folder)
    trace = json.loads((folder / "trace.json").read_text())
    counters = link.counters() if case.mode != "die" else {}
    _call(link, _program(folder, "verify"), folder)
    return _measured("skyhaul", case, link, begun, trace, cpu, counters)


def _program(folder: Path, command: str, *arguments: str) -> list[str]:
    traced = [sys.executable, str(HERE / "traced.py"), str(folder / "trace.json")]
    return [*traced, command, "job.yaml", *arguments]


def _kill_half_way(case: Case, link: Link, folder: Path) -> None:
    with (folder / "killed.log").open("wb") as log:
        process = subprocess.Popen(
            link.inside_dc(_program(folder, "run", "--quiet")), cwd=folder, stdout=log, stderr=log
        )
        start = link.flow.seen[-1][1]
        while link.flow.seen[-1][1] - start < case.size / 2:
            if process.poll() is not None:
                raise RunFailed("skyhaul ended before it could be killed")
            time.sleep(0.005)
        process.kill()
        process.wait()
    time.sleep(2 * case.link.rtt + 0.5)


def _die_early(case: Case, link: Link) -> None:
    start = link.flow.seen[-1][1]
    while link.flow.seen[-1][1] - start < 0.3 * case.size:
        time.sleep(0.005)
    link.die()


def _call(link: Link, command: Sequence[str], folder: Path, patience: float = PATIENCE) -> float:
    """Run in the data centre's namespace; returns seconds of CPU. Raises RunFailed, NotThrough."""
    with (folder / "last.log").open("w+b") as log:
        process = subprocess.Popen(
            link.inside_dc(command),
            cwd=folder,
            stdout=log,
            stderr=log,
            env={**os.environ, "SSL_CERT_FILE": str(link.folder / "cert.pem"),
                 "CURL_CA_BUNDLE": str(link.folder / "cert.pem"), **s3_environment(SERVER)},
        )  # fmt: skip
        end = time.monotonic() + patience
        try:
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() > end:
                    raise NotThrough(f"{command[0]} was not through after {patience:g} s")
                time.sleep(0.005)
        except BaseException:
            process.kill()
            os.wait4(process.pid, 0)
            process.returncode = -9
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            tail = log.read().decode(errors="replace")[-1500:]
            raise RunFailed(f"{' '.join(command[:6])} exited {process.returncode}: {tail}")
    return usage.ru_utime + usage.ru_stime


def _same(site: Path, folder: Path, who: str) -> None:
    names = [path.name for path in site.iterdir()]
    _, differ, absent = filecmp.cmpfiles(site, folder, names, shallow=False)
    if differ or absent:
        raise RunFailed(f"{who}: {len(differ)} files differ, {len(absent)} are missing")


def _measured(
    who: str,
    case: Case,
    link: Link,
    begun: float,
    trace: dict[str, Any] | None,
    cpu: float,
    counters: dict[str, Any],
) -> Measured:
    seen = link.flow.since(begun)
    base = seen[0][1]
    whole = seen[-1][1]
    first = next(at for at, count, _ in seen if count > base + _FIRST) - 0.01
    last = next(at for at, count, _ in seen if count == whole)
    if trace is not None:
        last = trace["bytes"][-1][0]
        if case.mode == "tls":
            first = trace["bytes"][0][0]  # before it the counters saw hand-shakes
    seconds = last - first
    ideal = case.shortest(first - link.epoch)
    crossed = seen[-1][2] - seen[0][2]
    payload = whole - base
    if link.second is not None:
        other = link.second.flow.since(begun)
        crossed += other[-1][2] - other[0][2]
        payload += other[-1][1] - other[0][1]
    heads = _heads(Path.cwd() / "dataset") if case.mode in ("kill", "die") else 0
    down, outages, at = False, [], 0.0
    while at < seconds:
        if case.link.is_down(first - link.epoch + at) != down:
            down = not down
            outages.append(at)
        at += 0.01
    if len(outages) % 2:
        outages.append(seconds)
    return Measured(
        who,
        case.size * 8 / seconds,
        seconds,
        ideal / seconds,
        crossed / case.size,
        cpu,
        [(point - first, count - base) for point, count, _ in seen if first <= point <= last + 1.0],
        list(zip(outages[::2], outages[1::2], strict=True)),
        counters,
        payload - case.size - heads if case.mode in ("kill", "die") else None,
        [] if trace is None else [[row[0] - first, *row[1:]] for row in trace["engine"]],
    )


def _heads(dataset: Path) -> int:
    """Bytes of answers' heads in a haul, all its runs together: of wire, what is neither payload nor its
    second copies."""
    commits = [json.loads(path.read_text()) for path in dataset.glob("_skyhaul/commits/*/*.json")]
    counts = [count for commit in commits for count in commit["transfer"].values()]
    return sum(c["wire_bytes"] - c["payload_bytes"] - c["resent_bytes"] for c in counts)


def room(folder: Path) -> Path:
    """An empty folder for one run."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
