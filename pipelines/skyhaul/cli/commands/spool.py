"""`skyhaul spool`: the spools on this machine's disk, and away with those that nobody needs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import duration, job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_job

if TYPE_CHECKING:
    from skyhaul.dataset.storage.store import DatasetStore
    from skyhaul_connectors.transfer.spool.folders import SpoolFolder

HELP = """List the spools below the job's `spool` folder: partial transfers of this plan, of earlier ones, and
of workers that were lost.

A spool in use is never touched, nor one of another user. What a lost worker left is taken over by the next
haul of the plan by itself. --clean removes what has not changed for a while (--older-than); spools of this
job's plan stay as long as shards are left, unless --all is given too: what they hold would have to cross the
link again.

\b
Examples:
  skyhaul spool job.yaml
  skyhaul spool --clean --older-than 2d job.yaml

\b
Exit codes:
  0   the spools were listed, and removed where that was asked for
  2   bad usage or job file, or a spool that this user may not remove
  75  a spool could not be read or removed; run the same command again
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List spools, remove those left over.")
@job_argument
@click.option("--clean", is_flag=True, help="Remove the stale ones.")
@click.option(
    "--older-than",
    callback=duration,
    default="7d",
    show_default=True,
    metavar="T",
    help="Stale is what has not changed for so long.",
)
@click.option("--all", "everything", is_flag=True, help="This plan's spools, too, with what they hold.")
@common_options
@click.pass_obj
def command(session: Session, job: str, clean: bool, older_than: float, everything: bool) -> int:
    from skyhaul.report.spool import SpoolReport, SpoolState
    from skyhaul_connectors.transfer.spool.folders import remove_spool, spools

    with open_job(job) as (loaded, store):
        keep = None if everything else _unfinished(store)
        root = Path(loaded.job.spool)
        found = []
        for folder in spools(root):
            state = _state(folder, keep, older_than)
            if state == "stale" and clean:
                # Looked at again under its lock: a haul may have taken it up since it was listed.
                state = "removed" if remove_spool(folder, unless_used=True) else "in use"
            found.append(SpoolState(folder, state))
    session.show(SpoolReport(named(job), str(root), tuple(found)))
    return 0


def _state(folder: SpoolFolder, keep: str | None, older_than: float) -> str:
    if folder.in_use:
        return "in use"
    if folder.plan == keep:
        return "resumable"
    return "stale" if folder.ours and folder.idle >= older_than else "kept"


def _unfinished(store: DatasetStore) -> str | None:
    """The spool name of the dataset's plan, where shards of it are left."""
    from skyhaul.dataset.survey import survey
    from skyhaul.planning.store.plan import Plan
    from skyhaul_connectors.transfer.spool.spool import folder_name

    if not Plan.exists(store):
        return None
    with closing(Plan.open(store)) as plan:
        seen = survey(plan, store)
        done = seen.shards_committed == seen.shards
        return None if done else folder_name(plan.header.first_digest)
