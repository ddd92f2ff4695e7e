"""What planning, resuming and status cost from 10^4 to 10^7 objects: seconds and peak memory.

python benchmarks/bench_plan_scale.py [--objects N]... [--folder F]

Ten objects a shard, out of a synthetic source. `resume` and `status` find nine tenths of the shards
committed, full groups sealed, as a haul leaves them; `begin` finds none. Each step is a process of its own;
those that end in the command's name start from a cold interpreter, as a user's command does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import run, skyhaul

STEP = Path(__file__).with_name("plan_scale_step.py")

JOB = """\
version: 1
name: scale
dataset: {folder}/dataset
spool: {folder}/spool
sources:
  made:
    url: synthetic://corpus?count={count}&size=4kB&seed=7
    format: text
shards: {{target_size: {target}}}
"""


def step(job: Path, name: str, committed: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(STEP), str(job), name, str(committed)], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(folder: Path, count: int) -> None:
    job = folder / "job.yaml"
    # A shard is closed by the object that no longer fits, so that ten of 4 kB need some room above 40 kB.
    job.write_text(JOB.format(folder=folder, count=count, target="42kB"))
    planned = step(job, "plan")
    begun = step(job, "begin")
    shards = planned["shards"]
    committed = shards * 9 // 10
    step(job, "fill", committed)
    resumed = step(job, "resume")
    assert (resumed["first"], resumed["left"]) == (committed, shards - committed), resumed
    status = step(job, "status")
    assert status["committed"] == committed, status
    command = run([skyhaul(), "status", str(job), "--json"], folder, may_exit=(75,))
    cells = [
        f"{count:,}",
        f"{shards:,}",
        f"{planned['seconds']:.1f} ({planned['peak_mb']})",
        f"{begun['seconds']:.2f} ({begun['peak_mb']})",
        f"{resumed['first_after']:.2f}",
        f"{resumed['seconds']:.1f} ({resumed['peak_mb']})",
        f"{status['seconds']:.2f} ({status['peak_mb']})",
        f"{command.wall:.2f} ({command.peak_mb:.0f})",
    ]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, action="append")
    parser.add_argument(
        "--folder",
        type=lambda text: Path(text).resolve(),
        help="where the datasets are put for the time; some GB",
    )
    arguments = parser.parse_args()
    print(
        "| objects | shards | plan s (peak MB) | first shard of a new haul s (MB) | first shard of a resumed"
        " haul s | and all that is left s (MB) | status s (MB) | `skyhaul status` s (MB) |"
    )
    print("| --- " * 8 + "|")
    for count in arguments.objects or [10**4, 10**5, 10**6, 10**7]:
        with tempfile.TemporaryDirectory(prefix="skyhaul-bench-", dir=arguments.folder) as name:
            measure(Path(name), count)


if __name__ == "__main__":
    main()
