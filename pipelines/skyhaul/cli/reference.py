"""The page docs/cli.md, made of the commands' own help. `python -m skyhaul.cli.reference` prints it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from skyhaul.cli.main import cli

WIDTH = 100
"""Characters of a line, stated so that the page is the same from any terminal."""


def reference() -> str:
    """The whole page, Markdown."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# The command line"
    yield ""
    yield "Made of the commands' own help by `make docs`; a test holds it to them."
    root = _context("skyhaul", cli, None)
    yield from _section(root)
    for name in cli.list_commands(root):
        command = cli.get_command(root, name)
        assert command is not None
        yield from _section(_context(name, command, root))


def _context(name: str, command: click.Command, parent: click.Context | None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": WIDTH, "max_content_width": WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


def _section(context: click.Context) -> Iterator[str]:
    yield ""
    yield f"## {context.command_path}"
    yield "```"
    yield inspect.cleandoc(context.command.get_help(context))
    yield "```"


if __name__ == "__main__":
    sys.stdout.write(reference())
