"""`skyhaul completion`: the shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from skyhaul.cli.group import SkyhaulCommand
from skyhaul.report.stdio import say

HELP = """Print the completion script of a shell.

\b
Examples:
  eval "$(skyhaul completion bash)"          in ~/.bashrc
  eval "$(skyhaul completion zsh)"           in ~/.zshrc
  skyhaul completion fish > ~/.config/fish/completions/skyhaul.fish
"""


@click.command(cls=SkyhaulCommand, help=HELP, short_help="Print a shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> int:
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells"
    say(kind(ctx.find_root().command, {}, "skyhaul", "_SKYHAUL_COMPLETE").source())
    return 0
