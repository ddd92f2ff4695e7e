"""A haul slow enough to be hurt, and the clusters that carry it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from processes import LOOPBACK, Processes, answers, free_port

BIN = Path(sys.executable).parent
SEED = 20


class Haul:
    """One job over `corpus`, with a dataset and a spool of its own below `folder`."""

    def __init__(self, folder: Path, corpus: Path, *, rate: str | None = None) -> None:
        """`rate` is that of each of two links, which a conductor each has to itself."""
        self.dataset = folder / "dataset"
        self.job = folder / "job.yaml"
        folder.mkdir(parents=True)
        links = {name: {"emulate": True, "down": rate, "rtt": "20ms"} for name in ("east", "west")}
        sources = {"even": ("*[02468].txt", "east"), "odd": ("*[13579].txt", "west")}
        job: dict[str, Any] = {
            "version": 1,
            "name": "cluster",
            "seed": 7,
            "schema": "document",
            "dataset": str(self.dataset),
            "spool": str(folder / "spool"),
            "links": links if rate else {},
            "sources": {
                name: {"url": f"{corpus}/{files}", "format": "text", "via": [link] if rate else []}
                for name, (files, link) in sources.items()
            },
            "shards": {"target_size": "64KiB"},
        }
        self.job.write_text(yaml.safe_dump(job))

    def command(self, options: Sequence[str] = ()) -> list[str]:
        return [str(BIN / "skyhaul"), "run", str(self.job), "--quiet", *options]

    def run(self, options: Sequence[str] = ()) -> int:
        """The exit code; what it said is in the test's output."""
        done = subprocess.run(self.command(options), capture_output=True, text=True, timeout=240)
        print(done.stdout, done.stderr)
        return done.returncode

    def start(self, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        with (self.job.parent / "client.log").open("ab") as log:
            return subprocess.Popen(self.command(options), stdout=log, stderr=log)

    def committed(self) -> int:
        return len(list(self.dataset.glob("_skyhaul/commits/*/*.json")))

    def digest(self) -> str:
        """Over names and bytes of all files in `data/`."""
        whole = hashlib.sha256()
        for path in sorted(self.dataset.glob("data/**/*.parquet")):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(self.dataset)} {digest}\n".encode())
        return whole.hexdigest()

    def is_sound(self) -> bool:
        verify = [str(BIN / "skyhaul"), "verify", str(self.dataset), "--deep"]
        done = subprocess.run(verify, capture_output=True, text=True, timeout=60)
        print(done.stdout, done.stderr)
        return done.returncode == 0


def write_corpus(folder: Path, *, objects: int = 40, size: int = 32_000) -> Path:
    """Text files, the same every time."""
    folder.mkdir()
    dice = random.Random(SEED)
    for number in range(objects):
        words = (f"{dice.getrandbits(32):08x}" for _ in range(size // 9))
        (folder / f"{number:03d}.txt").write_text(" ".join(words))
    return folder


def until(ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def harnesses() -> list[int]:
    """Process ids of the Beam harnesses that this process's descendants are or started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if b"sdk_worker_main" in (entry / "cmdline").read_bytes() and _descends(int(entry.name)):
                    found.append(int(entry.name))
    return found


def _descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


def is_gone(pid: int) -> bool:
    """Ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def kill_harnesses() -> int:
    pids = harnesses()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def process_environment(**variables: str) -> list[str]:
    config = {"command": str(BIN / "skyhaul-worker-boot"), "env": variables}
    return [
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps(config)}",
        "--sdk_worker_parallelism=1",
    ]


@contextlib.contextmanager
def worker_pool(children: Processes, name: str = "pool") -> Iterator[str]:
    """`skyhaul-worker-pool` on a free port; yields its address."""
    port = free_port()
    children.start(name, [str(BIN / "skyhaul-worker-pool"), f"--service_port={port}"])
    children.wait_for(name, lambda: answers(port), 30)
    yield f"{LOOPBACK}:{port}"
