"""`skyhaul reshard`: the rows of a dataset in other shards, or in another order."""

from __future__ import annotations

from contextlib import closing

import click

from skyhaul.cli.group import BEAM_ARGS, SkyhaulCommand
from skyhaul.cli.lean_start import import_beam
from skyhaul.cli.params import job_argument
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_dataset

HELP = """Make a dataset of the rows of another one, in larger shards or in another order.

Without --shuffle small shards are put together, and rows keep their order. With it all rows are shuffled
over the whole dataset; the same seed gives the same order, whatever the runner and its parallelism. Splits
stay. The new dataset's plan pins the files that its rows come from, and `skyhaul verify` proves that each
row is in it once. The old dataset stays as it is, and has to be whole.

Run the same command again after anything: what is written is never replaced.

\b
Examples:
  skyhaul reshard out/dataset --into out/shuffled --shuffle 7
  skyhaul reshard job.yaml --into s3://bucket/compact --target-size 512MiB
  skyhaul reshard out/dataset --into out/shuffled --shuffle 7 --runner FlinkRunner -- --parallelism=8

\b
Exit codes:
  0   all rows are in the new dataset
  2   bad usage or job file, no dataset, or --into holds something else
  3   a file of other bytes stands where one belongs
  4   the dataset is damaged
  75  the dataset is not whole, or a disk is full or fails; run the same command again
"""


@click.command(
    cls=SkyhaulCommand, beam=True, help=HELP, short_help="Put rows into other shards, or shuffle them."
)
@job_argument
@click.option("--into", required=True, metavar="DATASET", help="Path or URL of the new dataset.")
@click.option("--shuffle", type=click.IntRange(min=0), metavar="SEED", help="Shuffle all rows by this seed.")
@click.option(
    "--target-size",
    default="256MiB",
    show_default=True,
    metavar="SIZE",
    help="Uncompressed bytes of a shard.",
)
@click.option("--runner", default="DirectRunner", show_default=True, metavar="NAME", help="Beam's runner.")
@common_options
@click.pass_obj
def command(session: Session, job: str, into: str, shuffle: int | None, target_size: str, runner: str) -> int:
    with open_dataset(job) as store:
        dataset = store.url
    from skyhaul.hauling.config import IN_PROCESS

    if runner == IN_PROCESS:
        import_beam()
    from skyhaul.beam.datasets.derive import CompactShards, ReshardRows
    from skyhaul.beam.datasets.running import run_on
    from skyhaul.dataset.storage.opening import open_store
    from skyhaul.dataset.survey import survey
    from skyhaul.derived.derivation import derivation_of
    from skyhaul.planning.store.plan import Plan
    from skyhaul.report.reshard import ReshardReport

    derive = (
        CompactShards(dataset, into, target_size=target_size)
        if shuffle is None
        else ReshardRows(dataset, into, seed=shuffle, target_size=target_size)
    )
    beam_args = click.get_current_context().meta.get(BEAM_ARGS, ())
    run_on(runner, beam_args, lambda pipeline: pipeline | derive)
    with closing(open_store(into, writable=False)) as made, closing(Plan.open(made)) as plan:
        derivation = derivation_of(plan.header)
        assert derivation is not None
        seen = survey(plan, made)
        session.show(ReshardReport(derivation, seen, plan.header.digest, made.place, named(into)))
        return seen.exit_code()
