"""`skyhaul index`: an index of a folder, made where the data lies."""

from __future__ import annotations

import logging
import os
import sys

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.session import Session, common_options
from skyhaul.report.stdio import reader_left, say
from skyhaul_schemas.errors import EXIT_FAILED, EXIT_OK, UsageError
from skyhaul_schemas.printable import printable

HELP = """Print an index of a folder: a line of JSON for each file, with size and digests.

To be run at the remote side, once; a job then reads the index instead of asking for each object over the
link: `url: {list: objects.jsonl}`, or `url: {list: objects.jsonl, root: https://mirror.example/data/}`
where the lines have no URL. With digests by block a large file is cut although it has a checksum, and a block
that arrives wrong is fetched again alone. Names that start with a dot are left out unless a pattern names
them.

\b
Examples:
  skyhaul index /srv/data > objects.jsonl
  skyhaul index /srv/data --base-url https://mirror.example/data/ --match '**/*.jsonl.gz' > objects.jsonl

\b
Exit codes:
  0  every file is in the index
  2  bad usage, or no such folder
  3  some files were left out: unreadable, changing, or with names that no object may have
"""

log = logging.getLogger("skyhaul.index")


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Print an index of a folder, with digests.")
@click.argument("folder", metavar="DIR")
@click.option("--base-url", metavar="URL", help="The folder's URL: lines get a `url` below it.")
@click.option("--match", "patterns", multiple=True, metavar="GLOB", help="Files to take; repeatable.")
@click.option("--blocks/--no-blocks", default=True, show_default=True, help="Digests of each 1 MiB.")
@click.option("--mtime", is_flag=True, help="Modification times, in nanoseconds since 1970.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    default=min(8, os.cpu_count() or 1),
    metavar="N",
    help="Files that are read at once; by default one a core, at most 8.",
)
@common_options
@click.pass_obj
def command(
    session: Session,
    folder: str,
    base_url: str | None,
    patterns: tuple[str, ...],
    blocks: bool,
    mtime: bool,
    threads: int,
) -> int:
    from skyhaul_connectors.sources.catalogue.indexing import IndexSettings, index_folder
    from skyhaul_connectors.sources.url import parse_url

    base = None
    if base_url is not None:
        try:
            base = parse_url(base_url)
        except ValueError as error:
            raise UsageError(f"--base-url: {error}") from None
        if base.has_secret:
            raise UsageError("--base-url: user info and queries may be secret, and an index is none")
    left_out = 0

    def skip(path: str, why: str) -> None:
        nonlocal left_out
        left_out += 1
        log.warning("left out %s: %s", printable(repr(path)), why)

    settings = IndexSettings(patterns or ("**",), base, blocks, mtime, threads)
    for line in index_folder(folder, settings, skip, without=_output()):
        say(line.text)
        # Hashing goes on for hours, and nobody is there to read it.
        if reader_left():
            break
    return EXIT_FAILED if left_out else EXIT_OK


def _output() -> tuple[int, int] | None:
    """Device and inode of stdout: `skyhaul index . > objects.jsonl` must not index its own output."""
    try:
        found = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino
