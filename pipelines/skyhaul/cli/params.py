"""Arguments and option values that several commands share."""

from __future__ import annotations

import click

from skyhaul_schemas.units import parse_duration

job_argument = click.argument("job", metavar="JOB", type=click.Path())
"""A job file, or a dataset folder or URL; `cli.target` opens it. Without `exists=True`: to click a URL is a
path that is not there."""


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """`30m`, `1h30m`, `45s` on the command line; seconds in the program."""
    if value is None:
        return None
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None
    if seconds <= 0:
        raise click.BadParameter("must be longer than nothing", ctx, param)
    return seconds


def deadline(ctx: click.Context, param: click.Parameter, value: str | None) -> float | str | None:
    """`6h`, or a time such as `2026-11-23T06:00Z`, on the command line; as the job file has it."""
    if value is None:
        return None
    from skyhaul_schemas.job.link_terms import parse_deadline

    try:
        return parse_deadline(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None
