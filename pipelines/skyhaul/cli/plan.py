"""`skyhaul plan`: list the sources, cut chunks, assign shards."""

from __future__ import annotations

import time
from contextlib import closing

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import job_argument
from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_job

HELP = """List the sources, pin their objects, assign shards; print what would be hauled.

The plan is kept in the dataset, and `skyhaul run` uses it. Where there is one already it is shown, and
checked against the job file: links, spool and workers may differ, anything that reaches a shard may not.

\b
Examples:
  skyhaul plan job.yaml
  skyhaul plan --json job.yaml | jq .sources

\b
Exit codes:
  0  there is a plan
  2  bad usage or job file, a dataset that cannot be written or is another job's
  3  a source cannot be listed
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List the sources; print what would be hauled.")
@job_argument
@common_options
@click.pass_obj
def command(session: Session, job: str) -> int:
    with open_job(job) as (loaded, store):
        from skyhaul.planning.make_plan import check_plan, make_plan
        from skyhaul.planning.plan_file import Plan
        from skyhaul.report.plan_view import view_plan
        from skyhaul.report.progress import PLANNING, counting
        from skyhaul_connectors.links.presets import profile_from

        rates = {name: profile_from(link, name).down for name, link in loaded.job.links.items()}
        fresh = not Plan.exists(store)
        if fresh:
            begun = time.monotonic()
            with progress_of(session) as watcher:
                header = make_plan(
                    loaded,
                    store,
                    progress=lambda objects, size: watcher.progress(
                        counting(PLANNING, elapsed=time.monotonic() - begun, size=size, count=objects)
                    ),
                )
        else:
            with closing(Plan.open(store)) as plan:
                header = plan.header
            check_plan(loaded.job, header)
        session.output.plan(
            view_plan(
                header,
                dataset=store.place,
                target=named(job),
                fresh=fresh,
                via={name: tuple(source.via) for name, source in loaded.job.sources.items()},
                rates=rates,
            )
        )
        return 0
