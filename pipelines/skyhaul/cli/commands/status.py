"""`skyhaul status`: what is committed, failed, left."""

from __future__ import annotations

import time
from contextlib import closing

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import duration, job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_dataset

HELP = """Show what is committed, failed and left, by source and by link.

Reads the dataset, not the haul: it works from any machine, while a haul runs or after it. --watch also
tells what was committed over the last ten minutes, and how long the rest takes if that goes on.

\b
Examples:
  skyhaul status job.yaml
  skyhaul status --watch job.yaml
  skyhaul status --json s3://bucket/dataset

\b
Exit codes:
  0   all is committed
  2   bad usage or job file, no dataset or no plan
  3   nothing is left, with failed shards or damaged objects, or a source delivered nothing
  4   commit records that are not of the plan stand in the way; the lines name them
  75  shards are left, or the dataset could not be read
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Show what is committed, failed, left.")
@job_argument
@click.option("--watch", is_flag=True, help="Show it again and again, until nothing is left.")
@click.option(
    "--every",
    callback=duration,
    default="2s",
    show_default=True,
    metavar="T",
    help="With --watch: how often.",
)
@common_options
@click.pass_obj
def command(session: Session, job: str, watch: bool, every: float) -> int:
    from skyhaul.dataset.survey import survey
    from skyhaul.planning.store.plan import Plan
    from skyhaul.report.status import StatusReport
    from skyhaul.report.stdio import reader_left
    from skyhaul.report.throughput import ThroughputMeter

    meter = ThroughputMeter()
    with open_dataset(job) as store:
        while True:
            # The plan may be extended while it is watched.
            with closing(Plan.open(store)) as plan:
                seen = survey(plan, store)
                throughput = meter.look(time.monotonic(), seen)
                session.show(StatusReport(seen, plan.header, store.place, named(job), throughput))
            # Without a reader (`| head`) it would go on unseen until the haul ends, which may take weeks.
            if not watch or not seen.shards_to_haul or reader_left():
                return seen.exit_code()
            time.sleep(every)
            if not session.as_json:
                click.clear()
