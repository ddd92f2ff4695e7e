"""`skyhaul links`: what a job's links do, have carried and cost; and their rates, while a haul runs."""

from __future__ import annotations

from contextlib import closing

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import open_job

HELP = """Show the links of a job: state, rate, use of this billing cycle, cap, price so far.

Use and price come from the ledger, which counts links with a cap or a price over all hauls. State and
rate are those of the haul that runs on this machine; while none does, links are idle.

--set changes the rate of a link while a haul runs, within a second. It holds until that haul ends. A
lower rate costs what had been asked for at the old one.

\b
Examples:
  skyhaul links job.yaml
  skyhaul links --json job.yaml | jq '.[] | {name, state, counted_bytes, cost}'
  skyhaul links job.yaml --set leo.down=20Mbit/s
  skyhaul links job.yaml --set geo.down=off --set leo.down=job

\b
Exit codes:
  0  shown, and set
  2  bad usage or job file; --set while no haul of the job runs on this machine
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Show links: state, use, price; set rates.")
@job_argument
@click.option(
    "--set",
    "wishes",
    multiple=True,
    metavar="NAME.down=RATE",
    help="A rate for the haul that runs; off closes the link, job is what the job file says.",
)
@common_options
@click.pass_obj
def command(session: Session, job: str, wishes: tuple[str, ...]) -> int:
    from skyhaul.hauling.links.status import link_views, live_folders, set_rates
    from skyhaul.planning.store.plan import Plan
    from skyhaul.report.links import LinksReport

    with open_job(job, writable=False) as (loaded, store):
        digest = None
        if Plan.exists(store):
            with closing(Plan.open(store)) as plan:
                digest = plan.header.first_digest
        folders = live_folders(loaded.job, digest)
        if wishes:
            set_rates(loaded.job, folders, wishes)
        session.show(LinksReport(link_views(loaded.job, folders)))
    return 0
