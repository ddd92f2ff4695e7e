"""`skyhaul estimate` held against hauls that it forecasts, over emulated links in real time.

    python benchmarks/bench_estimate.py [--case leo] [--case geo] [--case intermittent] [--runs 1]

For each case a job is forecast (100 seeds), and then hauled as often as `--runs` says, each time with
another seed of the link: plan, transfer, decoding, Parquet, commits. Printed is the middle of the forecast
over the haul's own time from its first look at the plan to its last commit. Ends with 1 where the
median of the runs is more than 10 % away from the middle of the forecast.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

import click
from corpus import write_jsonl

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.forecast.forecast import forecast
from skyhaul.hauling.config import HaulOptions
from skyhaul.planning.make_plan import make_plan
from skyhaul_schemas.job.file import LoadedJob, parse_job

ALLOWED = 0.10

OUTAGES = ", ".join(f"{15 + 20 * n}s+5s" for n in range(60))

CASES = {
    "leo": (400_000_000, 64, "preset: leo"),
    "geo": (150_000_000, 256, "preset: geo"),
    "intermittent": (300_000_000, 64, f"preset: leo, outages: [{OUTAGES}]"),
}
"""Bytes, connections, link."""

JOB = """\
version: 1
name: bench-estimate
dataset: {out}
spool: {spool}
sources:
  lines:
    url: {corpus}/*.jsonl
    format: jsonl
    fields: {{text: body, source_id: id, url: url, language: lang}}
    max_connections: {connections}
    via: [sky]
links:
  sky: {{emulate: true, {link}, seed: {seed}}}
shards: {{target_size: 32MiB}}
"""


@click.command()
@click.option("--case", "cases", multiple=True, type=click.Choice(list(CASES)), default=list(CASES))
@click.option("--runs", type=click.IntRange(1, 100), default=1, show_default=True)
def main(cases: tuple[str, ...], runs: int) -> None:
    """Forecast, haul, compare."""
    wrong = False
    with tempfile.TemporaryDirectory(prefix="skyhaul-bench-") as name:
        folder = Path(name)
        for case in cases:
            size, connections, link = CASES[case]
            shutil.rmtree(folder / "corpus", ignore_errors=True)
            write_jsonl(folder / "corpus", size, 4, 2000)

            def job(
                seed: int, connections: int = connections, link: str = link
            ) -> tuple[LoadedJob, DatasetStore]:
                shutil.rmtree(folder / "out", ignore_errors=True)
                text = JOB.format(
                    out=folder / "out", spool=folder / "spool", corpus=folder / "corpus",
                    connections=connections, link=link, seed=seed,
                )  # fmt: skip
                return (
                    parse_job(text, "job.yaml", os.environ),
                    open_store(str(folder / "out"), writable=True),
                )

            begun = time.monotonic()
            foreseen = forecast(*job(0), start=time.time()).seconds
            print(
                f"{case}: foreseen {foreseen.p50:.1f} s ({foreseen.p10:.1f} to {foreseen.p90:.1f}),"
                f" in {time.monotonic() - begun:.1f} s",
                flush=True,
            )
            seen: list[float] = []
            for seed in range(runs):
                loaded, store = job(seed)
                make_plan(loaded, store)
                outcome = haul_on_beam(loaded, store, HaulOptions())
                if outcome.exit_code:
                    raise SystemExit(f"the haul ended with {outcome.exit_code}: {outcome.messages}")
                seen.append(outcome.run.seconds)
                print(f"  seed {seed}: hauled in {seen[-1]:.1f} s", flush=True)
            ratio = foreseen.p50 / median(seen)
            wrong = wrong or abs(ratio - 1) > ALLOWED
            print(f"{case}: foreseen over hauled {ratio:.3f}", flush=True)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
