"""`skyhaul plan`: list the sources, cut chunks, assign shards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_job
from skyhaul_schemas.errors import UsageError

if TYPE_CHECKING:
    from skyhaul.dataset.storage.store import DatasetStore
    from skyhaul_schemas.job.file import LoadedJob

HELP = """List the sources, pin their objects, assign shards; print what would be hauled.

The plan is kept in the dataset, and `skyhaul run` uses it. Where there is one already it is shown, and
checked against the job file: links, spool and workers may differ, anything that reaches a shard may not.

--extend lists the sources again: what is new becomes further shards of the same dataset. --amend pins
anew what changed since, and drops what is gone, in shards that are not committed; committed shards stay.
Either tells what it found otherwise than planned; `skyhaul run` then hauls what there is to haul.

\b
Examples:
  skyhaul plan job.yaml
  skyhaul plan --extend job.yaml
  skyhaul plan --amend --json job.yaml | jq .changes
  skyhaul plan --json job.yaml | jq .sources

\b
Exit codes:
  0   there is a plan, or it was extended or amended as far as there was anything to do
  2   bad usage or job file, a dataset that cannot be written or is another job's; another process planned,
      extended or amended it otherwise at the same time, or hauled what was being amended: run it again
  3   a source refuses to be listed
  75  a source could not be reached, or a disk is full or fails; run the same command again
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List the sources; print what would be hauled.")
@job_argument
@click.option("--extend", is_flag=True, help="Plan what is new at the sources as further shards.")
@click.option("--amend", is_flag=True, help="Pin anew what changed, drop what is gone, where not committed.")
@common_options
@click.pass_obj
def command(session: Session, job: str, extend: bool, amend: bool) -> int:
    if extend and amend:
        raise UsageError("--extend and --amend are two steps: give one of them, then the other")
    with open_job(job) as (loaded, store):
        if extend or amend:
            return _update(session, job, loaded, store, amend=amend)
        from skyhaul.api.plan import planned
        from skyhaul.hauling.progress import Planning

        begun = time.monotonic()
        with progress_of(session) as watcher:
            report = planned(
                loaded,
                store,
                target=named(job),
                progress=lambda objects, size: watcher.progress(
                    Planning(time.monotonic() - begun, objects, size)
                ),
            )
        session.show(report)
        return 0


def _update(session: Session, job: str, loaded: LoadedJob, store: DatasetStore, *, amend: bool) -> int:
    from skyhaul.hauling.progress import Planning
    from skyhaul.planning.amend_plan import amend_plan
    from skyhaul.planning.extend_plan import extend_plan
    from skyhaul.report.plan_update import PlanUpdateReport

    begun = time.monotonic()
    with progress_of(session) as watcher:

        def listed(objects: int, size: int) -> None:
            watcher.progress(Planning(time.monotonic() - begun, objects, size))

        update = (amend_plan if amend else extend_plan)(loaded, store, progress=listed)
    session.show(PlanUpdateReport(update, named(job)))
    return 0
