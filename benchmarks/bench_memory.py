"""Peak memory of a haul: one 2 GB object, and 20,000 small ones, over an emulated link and in place.

python benchmarks/bench_memory.py
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from measure import run, skyhaul

JOB = """\
version: 1
name: bench-memory
dataset: out/{name}
spool: spool
schema: {schema}
sources:
  things:
    url: {url}
    format: {format}
    max_connections: 64
{via}"""
LINK = """\
    via: [fast]
links:
  fast: {emulate: true, down: 2Gbit/s, rtt: 10ms}
"""


def main() -> None:
    print("| what | peak MB | wall s |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="skyhaul-bench-") as name:
        folder = Path(name)
        (folder / "big").mkdir()
        block = os.urandom(1 << 20)
        with (folder / "big" / "one.bin").open("wb") as file:
            for i in range(2000):
                file.write(i.to_bytes(4, "big") + block[4:])
        rng = random.Random(1)
        for i in range(20_000):
            path = folder / "small" / f"{i % 100:02d}" / f"{i:05d}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(rng.choices("abcdefgh \n", k=rng.randrange(100, 4000))))
        cases = [
            ("one object of 2 GB, binary", "blob", "big/*.bin", "binary"),
            ("20,000 small objects, text", "document", "small/**/*.txt", "text"),
        ]
        for title, schema, url, form in cases:
            for how, via in (("in place", ""), ("over an emulated link", LINK)):
                dataset = f"{schema}-{'link' if via else 'local'}"
                (folder / "job.yaml").write_text(
                    JOB.format(name=dataset, schema=schema, url=url, format=form, via=via)
                )
                cost = run([skyhaul(), "run", "job.yaml", "--quiet"], folder)
                print(f"| {title}, {how} | {cost.peak_mb:.0f} | {cost.wall:.1f} |", flush=True)


if __name__ == "__main__":
    main()
