"""`skyhaul verify`: prove that the dataset is whole."""

from __future__ import annotations

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
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
  75  sound so far, but not finished
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Prove that the dataset is whole.")
@job_argument
@click.option("--deep", is_flag=True, help="Read every page of every file, and check its digest.")
@common_options
@click.pass_obj
def command(session: Session, job: str, deep: bool) -> int:
    from skyhaul.verify import verify_dataset

    report = verify_dataset(open_dataset(job), deep=deep)
    session.output.verify(report)
    return report.exit_code()
