"""`skyhaul verify`: prove that the dataset is whole."""

from __future__ import annotations

import time

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import open_dataset

HELP = """Prove offline that every planned byte and every record is accounted for.

Holds the plan, the commit records and the files against each other: each source range in exactly one
shard, counts that add up, every file there with its size and schema. --deep also reads every page and
every digest. Findings are printed one a line.

\b
Examples:
  skyhaul verify job.yaml
  skyhaul verify --deep --json out/dataset

\b
Exit codes:
  0   sound and complete
  2   bad usage or job file, or no dataset
  3   sound, with failed shards or damaged objects
  4   damage was found
  75  sound so far, but not finished; or something could not be read, which says nothing of it
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Prove that the dataset is whole.")
@job_argument
@click.option("--deep", is_flag=True, help="Read every page of every file, and check its digest.")
@common_options
@click.pass_obj
def command(session: Session, job: str, deep: bool) -> int:
    from skyhaul.hauling.progress import Verifying
    from skyhaul.report.verify import VerificationReport
    from skyhaul.verification import VerifyReport, verify_dataset

    begun = time.monotonic()
    with open_dataset(job) as store, progress_of(session) as watcher:

        def grown(report: VerifyReport) -> None:
            spent = time.monotonic() - begun
            watcher.progress(Verifying(spent, report.bytes, report.shards, report.shards_committed))

        report = verify_dataset(store, deep=deep, progress=grown)
    session.show(VerificationReport(report))
    return report.exit_code()
