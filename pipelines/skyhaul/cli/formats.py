"""`skyhaul formats`: what a job file can name as `format:`, and where it comes from."""

from __future__ import annotations

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.session import Session, common_options

HELP = """List the formats that a job can name, with the package that each comes from.

Formats of installed packages are listed after the built-in ones; one that cannot be used is listed with the
reason. A job loads a package only where it names its format.

\b
Examples:
  skyhaul formats
  skyhaul formats --json | jq -r '.[] | select(.package) | .name'
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List the formats and where they come from.")
@common_options
@click.pass_obj
def command(session: Session) -> int:
    from skyhaul_connectors.formats.registry import listed

    session.output.formats(list(listed()))
    return 0
