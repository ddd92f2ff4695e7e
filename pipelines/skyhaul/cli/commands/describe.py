"""`skyhaul describe`: what the rows of a dataset are like."""

from __future__ import annotations

import json

import click

from skyhaul.cli.group import BEAM_ARGS, SkyhaulCommand
from skyhaul.cli.lean_start import import_beam
from skyhaul.cli.params import job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import open_dataset

HELP = """Describe the rows of a dataset: counts, nulls, lengths, quantiles, languages, tokens.

Reads all rows that are committed, and keeps the result in _skyhaul/stats/describe.json and in README.md.
Quantiles are off by less than 0.4 %, all else is exact; equal rows give an equal result, whatever the
runner and its parallelism.

--tokenizer names what counts tokens of `text`: package.module:name of a callable that takes a text and
gives its tokens or their number, or the path of a tokenizer.json (needs the package `tokenizers`).

\b
Examples:
  skyhaul describe out/dataset
  skyhaul describe --json job.yaml
  skyhaul describe --tokenizer tokenizer.json out/dataset

\b
Exit codes:
  0   described
  2   bad usage or job file, no dataset or tokenizer, or a dataset that cannot be written
  4   the dataset is damaged
  75  the dataset could not be read; run the same command again
"""


@click.command(cls=SkyhaulCommand, beam=True, help=HELP, short_help="Count and measure the rows.")
@job_argument
@click.option("--tokenizer", metavar="NAME", help="Count tokens of `text` with it.")
@click.option("--runner", default="DirectRunner", show_default=True, metavar="NAME", help="Beam's runner.")
@common_options
@click.pass_obj
def command(session: Session, job: str, tokenizer: str | None, runner: str) -> int:
    from skyhaul.hauling.config import IN_PROCESS

    with open_dataset(job) as store:
        if runner == IN_PROCESS:
            import_beam()
        from skyhaul.beam.datasets.describe import DescribeRows
        from skyhaul.beam.datasets.running import run_on
        from skyhaul.report.describe import DescribeReport
        from skyhaul_schemas import layout

        describe = DescribeRows(store.url, tokenizer=tokenizer)
        beam_args = click.get_current_context().meta.get(BEAM_ARGS, ())
        run_on(runner, beam_args, lambda pipeline: pipeline | describe)
        session.show(DescribeReport(json.loads(store.read_bytes(layout.DESCRIPTION)), store.place))
    return 0
