"""`skyhaul formats`: the formats, transforms and sources that a job file can name, and whence they come."""

from __future__ import annotations

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.session import Session, common_options

HELP = """List the formats, transforms and sources that a job can name, with the package of each.

A source is named by the scheme of its URL; `file` is that of paths. Those of installed packages are listed
after the built-in ones; one that cannot be used is listed with the reason. A job loads a package only where
it names what that adds.

\b
Examples:
  skyhaul formats
  skyhaul formats --json | jq -r '.[] | select(.package) | .name'
  skyhaul formats --json | jq -r '.[] | select(.kind == "source") | .name'
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List formats, transforms, sources, and whence.")
@common_options
@click.pass_obj
def command(session: Session) -> int:
    from skyhaul.report.formats import FormatsReport
    from skyhaul.transforms.registry import listed as transforms
    from skyhaul_connectors.formats.registry import listed as formats
    from skyhaul_connectors.sources.opening import listed as sources

    session.show(FormatsReport(list(formats()), list(transforms()), list(sources())))
    return 0
