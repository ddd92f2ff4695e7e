"""What a command prints on stdout: lines for people, or one JSON value for scripts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from skyhaul.report.stdio import say
from skyhaul_schemas.printable import printable


class Report(Protocol):
    """The result of a command. Each command has a class of its own, in the module of its name here."""

    def lines(self) -> Iterable[str]:
        """For people: plain lines, no colour.

        Whatever they quote from outside is made printable when they are shown.
        """

    def to_json(self) -> Any:
        """For scripts: one JSON value, whose keys are a promise."""


def show(report: Report, *, as_json: bool) -> None:
    """Print a report on stdout."""
    if as_json:
        import json

        # ASCII, as json.dumps has it: any terminal can print it, whatever is quoted from outside.
        say(json.dumps(report.to_json(), indent=2))
        return
    for line in report.lines():
        say(printable(line))
