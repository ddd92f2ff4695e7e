"""How full a haul keeps an emulated link of 200 Mbit/s, decoding, writing and committing beside it.

    python benchmarks/bench_emulated_link.py [--bytes 250000000] [--runs 3]

Payload over the time from the first to the last byte that the engine took, looked up every 10 ms, as a share
of the link's rate and of its physical limit (1448 bytes of payload in a packet of 1500).
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from corpus import write_jsonl

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling import watch
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.progress import Hauling, Progress
from skyhaul_schemas.job.file import parse_job

LOOK = 0.010
"""Seconds between two looks; the haul's own quarter second would cost the figure up to 5 % of ten seconds."""

RATE = 200e6
LIMIT = RATE * 1448 / 1500

JOB = """\
version: 1
name: bench-link
dataset: {out}
spool: {spool}
sources:
  lines:
    url: {corpus}/*.jsonl
    format: jsonl
    fields: {{text: body, source_id: id, url: url, language: lang}}
    max_connections: 64
    via: [sky]
links:
  sky: {{emulate: true, down: 200Mbit/s, up: 20Mbit/s, rtt: 45ms}}
shards: {{target_size: 32MiB}}
"""


class Flow:
    """Notes payload over time."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int]] = []

    def progress(self, progress: Progress) -> None:
        if isinstance(progress, Hauling) and progress.links:
            payload = progress.links[0].payload_bytes
            if not payload:
                self.seen = [(time.monotonic(), 0)]
            elif self.seen and payload > self.seen[-1][1]:
                self.seen.append((time.monotonic(), payload))

    def event(self, message: str) -> None:
        print(message)

    def goodput(self) -> float:
        """bit/s from the last look without a byte to the first look with all."""
        (start, _), (end, whole) = self.seen[0], self.seen[-1]
        return whole * 8 / (end - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bytes", type=int, default=250_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    shares: list[float] = []
    watch.PERIOD = LOOK
    with tempfile.TemporaryDirectory(prefix="skyhaul-bench-") as name:
        folder = Path(name)
        write_jsonl(folder / "corpus", arguments.bytes, 4, 2000)
        for _ in range(arguments.runs):
            text = JOB.format(out=folder / "out", spool=folder / "spool", corpus=folder / "corpus")
            flow = Flow()
            store = open_store(str(folder / "out"), writable=True)
            begun = time.process_time()
            outcome = haul_on_beam(parse_job(text, "job.yaml", os.environ), store, HaulOptions(), flow)
            cpu = time.process_time() - begun
            if outcome.exit_code:
                raise SystemExit(f"the haul ended with {outcome.exit_code}: {outcome.messages}")
            shares.append(flow.goodput() / RATE)
            counts = outcome.run.transfer["sky"]
            print(
                f"{flow.goodput() / 1e6:.1f} Mbit/s: {shares[-1]:.3f} of the rate,"
                f" {flow.goodput() / LIMIT:.3f} of the physical limit; re-sent"
                f" {counts.resent_bytes / counts.payload_bytes:.4f} of the payload; {cpu:.1f} s of CPU",
                flush=True,
            )
            shutil.rmtree(folder / "out")
    print(f"median {median(shares):.3f} of the rate, worst {min(shares):.3f}")


if __name__ == "__main__":
    main()
