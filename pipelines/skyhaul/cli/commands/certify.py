"""`skyhaul certify`: others' software opens the dataset."""

from __future__ import annotations

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.params import duration, job_argument
from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session, common_options
from skyhaul.cli.target import named, open_dataset
from skyhaul_schemas.errors import UsageError

ENGINES = ("pyarrow", "duckdb", "polars", "datasets", "datasets-streaming", "pyspark")
"""The keys of `skyhaul.certify.engines.ENGINES`, said again: that package imports Arrow, and the help must
answer at once."""

HELP = """Open the dataset with the software that trainers use, and hold it to what they need.

First the whole proof of `skyhaul verify --deep`. Then: row groups of at most 100 MB and files of at most
500 MB uncompressed, one schema, checksums on pages, more files than loader workers, a sample of shards
encoded again to the same bytes. Then pyarrow, DuckDB, Polars, Hugging Face datasets (copied and
streaming) and Spark, each if it is installed, in a process of its own without network, must agree on
rows, bytes of text, nulls and types. What holds is written to _skyhaul/certificate.json;
extending or amending the plan removes it.

`pip install 'skyhaul[certify,spark]'` installs the engines. datasets keeps an uncompressed copy of a
split in TMPDIR while it reads; of a dataset on an object store all data files are copied there first.

\b
Examples:
  skyhaul certify job.yaml
  skyhaul certify --engine duckdb --engine polars out/dataset
  skyhaul certify --all-engines --loader-workers 8 --json job.yaml

\b
Exit codes:
  0   all holds, and the certificate is written
  2   bad usage or job file, or no dataset
  3   all holds, with failed shards or damaged objects
  4   something does not hold; no certificate is left
  75  the dataset is not finished, or this machine lacks room, memory or files for a check
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Open the dataset with five engines.")
@job_argument
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(ENGINES),
    help="Only this engine beside pyarrow, which must then be installed; may be repeated.",
)
@click.option("--all-engines", is_flag=True, help="An engine that is not installed is a miss.")
@click.option(
    "--loader-workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Workers of the training job's loader: the largest split must have more files.",
)
@click.option(
    "--engine-limit",
    callback=duration,
    default="1h",
    show_default=True,
    metavar="T",
    help="How long one engine may take.",
)
@common_options
@click.pass_obj
def command(
    session: Session,
    job: str,
    engines: tuple[str, ...],
    all_engines: bool,
    loader_workers: int | None,
    engine_limit: float,
) -> int:
    if engines and all_engines:
        raise UsageError("--engine and --all-engines exclude each other: all are more than those named")
    from skyhaul.certify import certify_dataset
    from skyhaul.certify.certificate_file import keep_certificate
    from skyhaul.report.certify import CertifyReport

    with open_dataset(job, writable=True) as store, progress_of(session) as watcher:
        certificate = certify_dataset(
            store,
            engines=engines or ENGINES,
            required=all_engines or bool(engines),
            loader_workers=loader_workers,
            engine_limit=engine_limit,
            step=watcher.event,
        )
        keep_certificate(store, certificate)
    session.show(CertifyReport(certificate, named(job)))
    return certificate.exit_code()
