"""`skyhaul estimate`: when it will be done, over which links, and what stands in the way."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_job

HELP = """Forecast when a job will be done: what of its plan is not committed, in virtual time.

A stretch of the haul is rehearsed with the real scheduler over the job's links, then the whole is
carried through their contacts, outages and varying rates, once for each seed. Half of the seeds are
done by the middle figure, one in ten by the lower, nine in ten by the upper one. Where the dataset has
no plan yet the sources are listed; nothing is written. The haul is taken to wait for contacts, and this
machine to keep up with its links.

\b
Examples:
  skyhaul estimate job.yaml
  skyhaul estimate --start 2026-12-01T03:00Z job.yaml
  skyhaul estimate --json --seeds 1000 job.yaml | jq .seconds.p90

\b
Exit codes:
  0   there is a forecast
  2   bad usage or job file, or nothing says how fast a link is
  3   a source cannot be listed
  75  the haul is never done in most of the seeds: the contacts end before
"""


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> float:
    """ISO 8601; without an offset it is UTC. Unix seconds in the program."""
    if value is None:
        return time.time()
    try:
        at = datetime.fromisoformat(value)
        # OverflowError: a year that Unix seconds cannot say.
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise click.BadParameter("write a moment as 2026-12-01T03:00Z", ctx, param) from None


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Forecast when it will be done.")
@job_argument
@click.option(
    "--seeds",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    metavar="N",
    help="How often the links' luck is drawn.",
)
@click.option("--start", callback=_moment, metavar="TIME", help="When the haul begins. Default: now.")
@common_options
@click.pass_obj
def command(session: Session, job: str, seeds: int, start: float) -> int:
    from skyhaul.forecast.forecast import forecast
    from skyhaul.hauling.progress import Planning
    from skyhaul.report.estimate import EstimateReport

    begun = time.monotonic()
    with open_job(job, writable=False) as (loaded, store), progress_of(session) as watcher:

        def listed(objects: int, size: int) -> None:
            watcher.progress(Planning(time.monotonic() - begun, objects, size))

        outlook = forecast(loaded, store, start=start, seeds=seeds, progress=listed)
    session.show(EstimateReport(outlook, named(job)))
    return outlook.exit_code()
