"""A local haul of JSONL against a plain pyarrow script that writes the same columns: alternated runs.

    python benchmarks/bench_local.py [--bytes 1000000000] [--pairs 3] [--mean 2000]

Prints CPU ratios (plain / skyhaul: 1.0 is the plain script's speed), start-up included, and the wall
ratio of one worker to two.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from corpus import write_jsonl
from measure import HEADER, Cost, ratios, row, run, skyhaul

JOB = """\
version: 1
name: bench-local
dataset: out/{name}
spool: spool
sources:
  lines:
    url: corpus/*.jsonl
    format: jsonl
    fields: {{text: body, source_id: id, url: url, language: lang}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--mean", type=int, default=2000, help="mean bytes of a line's text")
    parser.add_argument("--no-workers", action="store_true", help="leave out the run with two workers")
    arguments = parser.parse_args()
    here = Path(__file__).parent
    plain: list[Cost] = []
    one: list[Cost] = []
    two: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="skyhaul-bench-") as name:
        folder = Path(name)
        _warm_up(folder)
        files = write_jsonl(folder / "corpus", arguments.bytes, 8, arguments.mean)
        size = sum(f.stat().st_size for f in files)
        print(f"{size / 1e6:.0f} MB of JSONL in {len(files)} files, about {arguments.mean} B of text a line")
        for _ in range(arguments.pairs):
            plain.append(run([sys.executable, here / "plain_jsonl.py", "corpus", "out/plain"], folder))
            one.append(_haul(folder, 1))
            if not arguments.no_workers:
                two.append(_haul(folder, 2))
    print(HEADER)
    print(row("plain pyarrow", plain, size))
    print(row("skyhaul run", one, size))
    if two:
        print(row("skyhaul run --workers 2", two, size))
    print("speed per CPU second against plain:", ratios([c.cpu for c in one], [c.cpu for c in plain]))
    if two:
        print("wall, 2 workers against 1:", ratios([c.wall for c in two], [c.wall for c in one]))


def _warm_up(folder: Path) -> None:
    """Both programs once, over next to nothing, so that their bytecode is there."""
    write_jsonl(folder / "corpus", 100_000, 1, 2000)
    run([sys.executable, Path(__file__).with_name("plain_jsonl.py"), "corpus", "out/plain"], folder)
    _haul(folder, 1)


def _haul(folder: Path, workers: int) -> Cost:
    shutil.rmtree(folder / "out" / "haul", ignore_errors=True)
    (folder / "job.yaml").write_text(JOB.format(name="haul"))
    return run([skyhaul(), "run", "job.yaml", "--workers", str(workers), "--quiet"], folder)


if __name__ == "__main__":
    main()
