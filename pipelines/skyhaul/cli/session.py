"""What the flags that every command knows say: how to log, and how to print."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from skyhaul.report.logs import start_logging
from skyhaul.report.report import Report, show
from skyhaul.report.stdio import complain_as

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True)
class Session:
    """One call of the program. Filled while options are parsed, before the command runs."""

    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    log_format: str = "text"

    def start_logging(self) -> None:
        start_logging(log_format=self.log_format, quiet=self.quiet, verbose=self.verbose)

    def show(self, report: Report) -> None:
        """Print the command's result, as the user wants to have it."""
        show(report, as_json=self.as_json)


def common_options(command: Command) -> Command:
    """--json, --quiet, --verbose and --log-format. They reach the command as its session."""
    # Click lists first the option that is put on last.
    for option in (
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            expose_value=False,
            callback=_sets("log_format"),
            help="How log lines on stderr look.",
        ),
        _flag("verbose", "-v", "--verbose", help="Log more, and show a traceback where a bug strikes."),
        _flag("quiet", "-q", "--quiet", help="No progress; log warnings and errors only."),
        _flag("as_json", "--json", help="Print the result on stdout as JSON."),
    ):
        command = option(command)
    return command


def _flag(field: str, *names: str, help: str) -> Callable[[Command], Command]:
    return click.option(*names, is_flag=True, expose_value=False, callback=_sets(field), help=help)


def _sets(field: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        # At the root, where `LateGroup.main` finds it also for a command whose arguments were wrong.
        setattr(ctx.find_root().ensure_object(Session), field, value)
        if field == "log_format":
            complain_as(value)

    return callback
