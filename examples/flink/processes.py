"""Child processes that end with the script that started them, also on Ctrl-C and SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

LOOPBACK = "127.0.0.1"


class NotReady(Exception):
    """Something that was started ended, or did not answer in time. `str()` is one line."""


class Unavailable(Exception):
    """Something that is needed (Java, Go, a download) cannot be had here. `str()` is one line."""


class Processes:
    """Children by name, each in a process group of its own, its output in `logs/{name}.log`."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._replaced: list[subprocess.Popen[bytes]] = []
        logs.mkdir(parents=True, exist_ok=True)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if environment is None else {**os.environ, **environment},
                start_new_session=True,
            )
        if name in self._children:
            self._replaced.append(self._children[name])
        self._children[name] = child
        return child

    def __getitem__(self, name: str) -> subprocess.Popen[bytes]:
        return self._children[name]

    def kill(self, name: str) -> None:
        """SIGKILL the process alone: what a lost machine or the OOM killer does to it."""
        self._children[name].kill()
        self._children[name].wait()

    def kill_group(self, name: str) -> None:
        """SIGKILL the process and all that it started."""
        _signal_group(self._children[name], signal.SIGKILL)
        self._children[name].wait()

    def wait_for(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Until `ready()`; raises NotReady when the child ends first or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            ended = self._children[name].poll()
            if ended is not None:
                raise NotReady(f"{name} ended with {ended}: {self.last_line(name)}")
            if time.monotonic() > deadline:
                raise NotReady(f"{name} did not answer within {seconds:.0f} s; see {self.logs / name}.log")
            time.sleep(0.1)

    def last_line(self, name: str) -> str:
        lines = (self.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it printed nothing"

    def end_all(self) -> None:
        """SIGTERM to all, a few seconds, then SIGKILL to every group."""
        for child in self._children.values():
            _signal_group(child, signal.SIGTERM)
        deadline = time.monotonic() + 5
        for child in self._children.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))
            _signal_group(child, signal.SIGKILL)
            child.wait()
        for gone in self._replaced:  # killed, but what it had started may run on
            _signal_group(gone, signal.SIGKILL)
        self._children.clear()
        self._replaced.clear()


def _signal_group(child: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, number)  # the group outlives its leader while any member runs


@contextlib.contextmanager
def processes(logs: Path) -> Iterator[Processes]:
    """Children that are ended when the block is left, by SIGTERM and a lost terminal too. A second signal
    does not keep them from being ended. For the main thread."""
    children = Processes(logs)

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.getsignal(signal.SIGINT)
    try:
        yield children
    finally:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        children.end_all()
        for number, handler in before.items():
            signal.signal(number, handler)


def free_port(wanted: int = 0) -> int:
    """`wanted` if nobody listens there, else any port that is free."""
    with socket.socket() as probe:
        if wanted and probe.connect_ex((LOOPBACK, wanted)) == 0:
            wanted = 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, wanted))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
