"""`skyhaul presets`: the links that a job file can name, and what their figures rest on."""

from __future__ import annotations

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.session import Session, common_options

HELP = """List the link presets with the basis of their figures.

\b
Example, in a job file:
  links:
    leo-west: {preset: leo, emulate: true, outages: [20s+5s]}
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="List the link presets and their basis.")
@common_options
@click.pass_obj
def command(session: Session) -> int:
    from skyhaul.report.presets import PresetsReport
    from skyhaul_connectors.links.profile.presets import PRESETS

    session.show(PresetsReport(PRESETS))
    return 0
