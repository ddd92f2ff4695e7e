"""The program `skyhaul`. Nothing heavy is imported here: `skyhaul --help` must answer at once."""

from __future__ import annotations

import gc
import sys
import threading

import click

from skyhaul.cli import commands
from skyhaul.cli.crash import report_bug, report_thread_bug
from skyhaul.cli.group import LateGroup, leave_on_signals
from skyhaul.cli.utf8_mode import ensure_utf8_mode
from skyhaul.report.stdio import open_standard_streams
from skyhaul_connectors.sources.local.open_files import raise_limit

ORDER = (
    "plan", "estimate", "run", "status", "failures", "replay", "verify", "certify", "describe",
    "reshard", "links", "index", "spool", "presets", "formats", "schema", "completion",
)  # fmt: skip
"""How the help lists the commands: as they are needed. Those that are not named here follow, by name. Only an
order: what commands there are, the modules of `skyhaul.cli.commands` say."""

HELP = """Haul AI training data over satellite links into verified Parquet shards.

A job file says what to haul, over which links, into which dataset. Every command takes a job file or
a dataset folder or URL.

\b
  skyhaul plan job.yaml       what would be hauled
  skyhaul estimate job.yaml   when it would be done
  skyhaul run job.yaml        haul it; run it again after anything, it goes on where it was
  skyhaul status job.yaml     what is committed, failed, left
  skyhaul verify job.yaml     prove that the dataset is whole
  skyhaul certify job.yaml    have others' software confirm it

\b
Exit codes:
  0    all is committed                  75   incomplete, run again: link closed, time budget
  1    a bug                                  spent, source silent, disk full or failing
  2    bad usage, job file or dataset    130  interrupted by Ctrl-C
  3    finished, with failed shards or   143  interrupted by SIGTERM or SIGHUP
       damaged objects
  4    verify found damage, or certify a miss
"""


@click.group(
    cls=LateGroup,
    package=commands,
    order=ORDER,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="skyhaul", message="%(prog)s %(version)s")
def cli() -> None:
    """Holds the commands; its help is HELP."""


def main() -> None:
    """Entry point of the program."""
    # The order counts. This may start the program anew, so nothing comes before it.
    ensure_utf8_mode()
    # Start-up makes hundreds of thousands of objects that stay: with Python's own threshold of 700 the
    # collector walks them over and over, a tenth of the CPU of a short haul.
    gc.set_threshold(50_000, 20, 50)
    # Before anything opens a file or a socket, which would get the number of a closed stream.
    open_standard_streams()
    sys.excepthook = report_bug
    threading.excepthook = report_thread_bug
    leave_on_signals()
    raise_limit()
    try:
        cli.main(prog_name="skyhaul")
    finally:
        # Python's last collections would walk all modules once more to free what the kernel frees anyway.
        gc.freeze()
