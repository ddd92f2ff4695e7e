"""`skyhaul run`: haul what is not committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.hauling import haul_and_report, haul_options
from skyhaul.cli.params import job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import open_job

if TYPE_CHECKING:
    from skyhaul.hauling.config import HaulOptions

HELP = """Haul what is not committed yet; plan first if there is no plan.

Run the same command again after anything (Ctrl-C, a crash, a lost link, a full disk): it goes on where
it was, and ends with the same files. Shards that failed for good wait for `skyhaul replay`.

\b
Examples:
  skyhaul run job.yaml
  skyhaul run job.yaml --workers 4 --max-duration 30m
  skyhaul run job.yaml --wait                     sleep until the next contact
  skyhaul run job.yaml --runner FlinkRunner -- --flink_master=localhost:8081 --parallelism=4

\b
Exit codes:
  0    all is committed
  2    bad usage or job file, a dataset that cannot be written or is another job's
  3    finished, with failed shards or damaged objects, or a source with nothing left delivered nothing
  4    finished but for commit records that are not of the plan; `skyhaul replay --damaged` mends it
  75   incomplete, run again: a link closed, the time budget is spent, a source is silent, a disk is full
       or fails, or too many files are open
  130  interrupted by Ctrl-C; 143 by SIGTERM or SIGHUP. What has arrived is kept
"""


@click.command(
    cls=SkyhaulCommand, beam=True, help=HELP, short_help="Haul what is not committed; safe to run again."
)
@job_argument
@haul_options
@common_options
@click.pass_obj
def command(session: Session, job: str, options: HaulOptions) -> int:
    with open_job(job) as (loaded, store):
        return haul_and_report(session, job, loaded, store, options)
