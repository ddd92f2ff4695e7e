"""`skyhaul replay`: haul failed shards again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.hauling import haul_and_report, haul_options
from skyhaul.cli.params import job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_job
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

if TYPE_CHECKING:
    from skyhaul.dataset.storage.store import DatasetStore
    from skyhaul.hauling.config import HaulOptions

HELP = """Haul failed shards again: all of them, or those that --shard or --class name.

Shards that fail for good (an object that is gone, a server that refuses) are left alone by
`skyhaul run`. Once the cause is mended, replay takes them up.

--damaged digests every committed file, and hauls the shards of those that are broken or gone again. A file
is replaced only once its shard has come out with the digests of its commit record. It also mends commit
records that are damaged, or of another plan or shard, or of other bytes than are planned: what can be told
without hauling is set aside at once, as are data files that no commit speaks of; the rest once the shard
has been hauled again. What was there is kept under _skyhaul/set-aside.

\b
Examples:
  skyhaul replay job.yaml
  skyhaul replay job.yaml --shard 17 --shard 23
  skyhaul replay job.yaml --class SourceFailing
  skyhaul replay job.yaml --damaged

\b
Exit codes: those of `skyhaul run`; 0 says that all of the plan is committed. With nothing to replay:
  0    nothing has failed
  2    a shard that was named has not failed
With --damaged: 4 where a file is still broken, 75 where its shard was put off
"""


@click.command(cls=SkyhaulCommand, beam=True, help=HELP, short_help="Haul failed shards again.")
@job_argument
@click.option(
    "--shard", "shards", type=click.IntRange(0), multiple=True, metavar="N", help="This shard; repeatable."
)
@click.option(
    "--class",
    "kinds",
    multiple=True,
    metavar="C",
    help="Failures of this class, as `skyhaul failures` shows it.",
)
@click.option("--damaged", is_flag=True, help="Haul committed shards with broken files again.")
@haul_options
@common_options
@click.pass_obj
def command(
    session: Session,
    job: str,
    shards: tuple[int, ...],
    kinds: tuple[str, ...],
    damaged: bool,
    options: HaulOptions,
) -> int:
    with open_job(job) as (loaded, store):
        if damaged:
            if kinds:
                raise UsageError("--damaged takes shards that are committed; --class names failures")
            from skyhaul.cli.repair import repair_and_report

            options = replace(options, mend=True)
            return repair_and_report(session, job, loaded, store, options, frozenset(shards))
        options = replace(options, only=_chosen(job, _failed(store), set(shards), set(kinds)))
        return haul_and_report(session, job, loaded, store, options)


def _failed(store: DatasetStore) -> dict[int, str]:
    """The failed shards, with their class."""
    from skyhaul.dataset.commits.valid_commits import failures
    from skyhaul.planning.store.plan import Plan

    if not Plan.exists(store):
        return {}
    with closing(Plan.open(store)) as plan:
        return {record.shard: record.kind for record in failures(plan, store)}


def _chosen(job: str, failed: Mapping[int, str], shards: set[int], kinds: set[str]) -> frozenset[int]:
    """Those of the `failed` shards (with their class) that the options name; no option names all.

    Raises:
        UsageError: An option names none of them: a slip would end with 0 as if all were well.
    """
    unknown = sorted(shards - set(failed))
    if unknown:
        raise UsageError(
            f"--shard {', '.join(map(str, unknown))}: has not failed;"
            f" `skyhaul failures {printable(named(job))}` lists those that have"
        )
    there = set(failed.values())
    if kinds and failed and not kinds & there:
        raise UsageError(
            f"--class {printable(', '.join(sorted(kinds)))}: no failure is of this class;"
            f" there are: {', '.join(sorted(there))}"
        )
    return frozenset(
        shard
        for shard, kind in failed.items()
        if (not shards or shard in shards) and (not kinds or kind in kinds)
    )
