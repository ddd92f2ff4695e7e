"""`skyhaul schema`: the job file's JSON Schema."""

from __future__ import annotations

import json

import click

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.cli.session import common_options
from skyhaul.report.stdio import say

HELP = """Print the JSON Schema of the job file, for editors and checkers.

It knows the formats with their options, presets, transforms and schemes of URLs that there are here, those of
installed packages included.

With --records: the columns of the datasets themselves, with what they mean.

\b
Examples:
  skyhaul schema > skyhaul.schema.json
  # first line of a job file, for editors with a YAML language server:
  # yaml-language-server: $schema=skyhaul.schema.json
  skyhaul schema --records
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Print the job file's JSON Schema.")
@click.option("--records", is_flag=True, help="Print the reference of the record schemas, as Markdown.")
@common_options
def command(records: bool) -> int:
    if records:
        from skyhaul_schemas.reference import reference

        say(reference().rstrip("\n"))
        return 0
    from skyhaul.job_schema import job_schema

    say(json.dumps(job_schema(), indent=2))
    return 0
