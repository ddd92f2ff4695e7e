"""`skyhaul failures`: the dead letters."""

from __future__ import annotations

from contextlib import closing

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_dataset

HELP = """List the failed shards: shard, class, attempts, reason.

\b
Examples:
  skyhaul failures job.yaml
  skyhaul failures --json out/dataset | jq -r '.[].kind' | sort | uniq -c

\b
Exit codes:
  0  nothing has failed
  2  bad usage or job file, or no dataset
  3  there are failures
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List the failed shards and why.")
@job_argument
@common_options
@click.pass_obj
def command(session: Session, job: str) -> int:
    from skyhaul.dataset.commits.valid_commits import failures
    from skyhaul.planning.store.plan import Plan
    from skyhaul.report.failures import FailuresReport
    from skyhaul_schemas.errors import EXIT_FAILED, EXIT_OK

    with open_dataset(job) as store, closing(Plan.open(store)) as plan:
        records = list(failures(plan, store))
    session.show(FailuresReport(records, named(job)))
    return EXIT_FAILED if records else EXIT_OK
