"""A CPU-bound haul of local JSONL on a real Flink with one slot and two, beside the local runner.

    python benchmarks/bench_flink.py [--bytes 1000000000] [--runs 1] [--mean 2000]

CPU is that of all processes: client, JVMs, workers. Wall is the client's, from start to end; hauling is
from the first shard's start to the last one's commit, so the difference is what the client, the job and
the workers need to start. Needs Java and what `examples/flink/fetch.py java flink job-server` fetches.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

from corpus import write_jsonl
from measure import run, skyhaul

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "flink"))

import demo
import standalone
from processes import Processes, Unavailable, processes

JOB = """\
version: 1
name: bench-flink
dataset: {folder}/out
spool: {folder}/spool
sources:
  lines:
    url: {folder}/corpus/*.jsonl
    format: jsonl
    fields: {{text: body, source_id: id, url: url, language: lang}}
shards:
  target_size: 32MiB
"""

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Haul:
    """Seconds of CPU, of wall, and of wall between the first shard's start and the last commit."""

    cpu: float
    wall: float
    hauling: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--mean", type=int, default=2000, help="mean bytes of a line's text")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="skyhaul-bench-") as name,
        processes(Path(name) / "logs") as children,
    ):
        folder = Path(name)
        files = write_jsonl(folder / "corpus", arguments.bytes, 8, arguments.mean)
        size = sum(f.stat().st_size for f in files)
        print(f"{size / 1e6:.0f} MB of JSONL in {len(files)} files; {os.cpu_count()} CPUs", flush=True)
        (folder / "job.yaml").write_text(JOB.format(folder=folder))
        try:
            cluster = standalone.start(children, folder, 2)
            endpoint = cluster.start_job_server()
        except Unavailable as reason:
            print(f"bench: no Flink: {reason}", file=sys.stderr)
            return standalone.EXIT_UNAVAILABLE
        jvms = [*(f"taskmanager-{n}" for n in (1, 2)), standalone.JOB_MANAGER, standalone.JOB_SERVER]
        ways: dict[str, Sequence[str]] = {
            "local runner": (),
            "local runner, --workers 2": ("--workers", "2"),
            "Flink, 1 slot": demo.portable_options(endpoint, 1),
            "Flink, 2 slots": demo.portable_options(endpoint, 2),
        }
        _haul(folder, ways["Flink, 2 slots"], children, jvms)  # the JVMs' first job loads and compiles
        seen: dict[str, list[Haul]] = {way: [] for way in ways}
        for _ in range(arguments.runs):
            for way, options in ways.items():
                seen[way].append(_haul(folder, options, children, jvms))
    _report(seen, size)
    return 0


def _haul(folder: Path, options: Sequence[str], children: Processes, jvms: Sequence[str]) -> Haul:
    shutil.rmtree(folder / "out", ignore_errors=True)
    before = _cpu(children, jvms)
    cost = run([skyhaul(), "run", "job.yaml", "--quiet", *options], folder)
    while _workers(children, jvms):  # a JVM is charged with its workers once they have ended
        time.sleep(0.05)
    commits = [json.loads(path.read_text()) for path in (folder / "out").glob("_skyhaul/commits/*/*.json")]
    begun = min(datetime.fromisoformat(commit["started"]) for commit in commits)
    ended = max(datetime.fromisoformat(commit["finished"]) for commit in commits)
    return Haul(
        cost.cpu + _cpu(children, jvms) - before, cost.wall, max(0.001, (ended - begun).total_seconds())
    )


def _cpu(children: Processes, names: Sequence[str]) -> float:
    """Seconds that the processes and the ended children that they waited for were charged (proc(5))."""
    ticks = 0
    for name in names:
        fields = Path(f"/proc/{children[name].pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS


def _workers(children: Processes, names: Sequence[str]) -> bool:
    """Whether any of the processes still has a child."""
    parents = {children[name].pid for name in names}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) in parents:
                    return True
    return False


def _report(seen: dict[str, list[Haul]], size: int) -> None:
    print("| what | CPU s | wall s | hauling s | MB/s hauling | MB/s per CPU s |")
    print("| --- | --- | --- | --- | --- | --- |")
    middle = {
        way: Haul(*(median(getattr(h, name) for h in hauls) for name in ("cpu", "wall", "hauling")))
        for way, hauls in seen.items()
    }
    for way, haul in middle.items():
        print(
            f"| {way} | {haul.cpu:.1f} | {haul.wall:.1f} | {haul.hauling:.1f} |"
            f" {size / 1e6 / haul.hauling:.1f} | {size / 1e6 / haul.cpu:.1f} |"
        )
    one, two, local = (middle[way] for way in ("Flink, 1 slot", "Flink, 2 slots", "local runner"))
    print(f"2 slots against 1: {one.hauling / two.hauling:.2f} hauling, {one.wall / two.wall:.2f} wall")
    print(f"Flink, 1 slot, against the local runner: {one.cpu / local.cpu:.2f} of the CPU seconds,", end=" ")
    print(f"{one.wall - local.wall:.0f} s more from start to end")


if __name__ == "__main__":
    sys.exit(main())
