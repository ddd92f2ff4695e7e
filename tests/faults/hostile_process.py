"""The hostile server as a process of its own: it survives the client's SIGKILL and counts what it sent."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class HostileProcess:
    url: str
    port: int
    pid: int
    log: Path

    def ranges(self) -> list[dict[str, Any]]:
        """The answers so far, as `ServedRange` without headers. An open answer is not in it yet."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def hostile_process(root: Path, log: Path, *arguments: str) -> Iterator[HostileProcess]:
    """Serves the folder `root`; `arguments` are those of `python -m tests.faults.hostile_http`."""
    project = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "tests.faults.hostile_http", "--root", str(root), "--log", str(log)]
    process = subprocess.Popen([*command, *arguments], cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        yield HostileProcess(f"http://127.0.0.1:{port}/", port, process.pid, log)
    finally:
        process.kill()
        process.wait()
