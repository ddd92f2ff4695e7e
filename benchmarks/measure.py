"""Run a command as a process of its own and read what the kernel charged it for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU (user + system, children included) and wall, peak resident memory in MB (the
    largest process), exit code."""

    cpu: float
    wall: float
    peak_mb: float
    code: int


def run(
    command: Sequence[str | Path],
    cwd: Path,
    env: dict[str, str] | None = None,
    may_exit: Sequence[int] = (),
) -> Cost:
    """Run `command` in `cwd`; its output goes to `cwd`/last.log. Raises RuntimeError on an exit code other
    than 0 and those of `may_exit`.

    Python keeps its bytecode below `cwd`, as an installation has it: a run before the one that counts
    spares that one the compiling."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(cwd / "bytecode"), **(env or {})}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.monotonic()
    with (cwd / "last.log").open("wb") as log:
        process = subprocess.Popen(
            [str(c) for c in command], cwd=cwd, stdout=log, stderr=log, env=environment
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and process.returncode not in may_exit:
        tail = (cwd / "last.log").read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{' '.join(map(str, command))} exited {process.returncode}:\n{tail}")
    return Cost(
        usage.ru_utime + usage.ru_stime, time.monotonic() - begun, usage.ru_maxrss / 1024, process.returncode
    )


def row(name: str, costs: Sequence[Cost], size: int) -> str:
    """A table row: medians of CPU and wall seconds, MB/s per CPU second, peak memory."""
    cpu, wall = median(c.cpu for c in costs), median(c.wall for c in costs)
    peak = max(c.peak_mb for c in costs)
    return f"| {name} | {cpu:.2f} | {wall:.2f} | {size / 1e6 / cpu:.1f} | {peak:.0f} |"


HEADER = "| what | CPU s | wall s | MB/s per CPU s | peak MB |\n| --- | --- | --- | --- | --- |"


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Pair by pair theirs / ours (above 1: ours took less): median, worst and best."""
    pairs = sorted(t / o for o, t in zip(ours, theirs, strict=True))
    return f"median {median(pairs):.2f} (worst {pairs[0]:.2f}, best {pairs[-1]:.2f}, {len(pairs)} pairs)"


def skyhaul() -> Path:
    """The command of this environment."""
    return Path(sys.executable).with_name("skyhaul")
