"""The click classes of the program: commands that load late, errors in one line, exit codes."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, NoReturn

import click

from skyhaul.cli.session import Session
from skyhaul.report.stdio import complain, complain_as, give_up_stdout
from skyhaul_schemas.errors import EXIT_SIGINT, EXIT_SIGTERM, EXIT_USAGE, SkyhaulError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import of_environment

BEAM_ARGS = "skyhaul.beam_args"
"""Where the context keeps what stood after `--`."""


class SkyhaulCommand(click.Command):
    """A command whose function returns its exit code, and that logs as its session says.

    beam: takes Beam pipeline options after `--`; without it `--` is refused like any stray argument.
    """

    def __init__(self, *args: Any, beam: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.beam = beam

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Taken off before click looks: to click `--` ends the options, and what follows would be arguments.
        if self.beam and "--" in args:
            border = args.index("--")
            ctx.meta[BEAM_ARGS] = tuple(args[border + 1 :])
            args = args[:border]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), *(["[-- BEAM_OPTIONS]"] if self.beam else [])]

    def invoke(self, ctx: click.Context) -> Any:
        # Options are parsed by now, and the command has imported nothing yet: Beam sets up logging, too.
        ctx.find_root().ensure_object(Session).start_logging()
        ctx.exit(super().invoke(ctx) or 0)


class LateGroup(click.Group):
    """A group that imports a command when it is asked for, and ends the process with its exit code.

    The group's own help imports all of them, for their first lines. So modules of commands import what is
    heavy inside of their functions (`tests/cli/test_help.py` holds them to it).

    Args:
        package: Each module in it is a command of its own name, and holds it as `command`.
        order: The names of commands that are listed first, in this order; the others follow by name.
    """

    def __init__(self, *args: Any, package: ModuleType, order: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._order = order

    def list_commands(self, ctx: click.Context) -> list[str]:
        # By the files' names alone: completion asks at each press of Tab.
        files = [file for folder in self._package.__path__ for file in os.listdir(folder)]
        names = {file.removesuffix(".py") for file in files if file.endswith(".py") and file[0] != "_"}
        first = [name for name in self._order if name in names]
        return [*first, *sorted(names.difference(first))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        # Whatever is typed gets here, and must not become the name of a module.
        if cmd_name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"{self._package.__name__}.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _text_on_stdout():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _text_on_stdout():
            return super().invoke(ctx)

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run, and leave with the exit code of what happened. Never returns.

        An exception that nobody expected passes through, to `sys.excepthook`.
        """
        # Made here and not by the first option: errors of parsing are told in the session's form, too.
        extra.setdefault("obj", Session())
        complain_as(_log_format(args[0] if args else extra.get("args")))
        # Click's own ending prints usage over several lines, and has 1 for an abort.
        extra["standalone_mode"] = False
        try:
            code = self._ended(*args, **extra)
        except Exception as error:
            # The last look before something is called a bug: ours went through `_ended` already.
            found = of_environment(error)
            if found is None:
                raise
            complain(str(found))
            code = found.exit_code
        sys.exit(code)

    def _ended(self, *args: Any, **extra: Any) -> int:
        code = 0
        try:
            code = super().main(*args, **extra) or 0
        except SkyhaulError as error:
            complain(str(error))
            code = error.exit_code
        # A ClickException, too, whose text is the whole help: not to be put on one line.
        except click.exceptions.NoArgsIsHelpError as error:
            with contextlib.suppress(OSError, ValueError):
                print(error.format_message(), file=sys.stderr)
            code = EXIT_USAGE
        except click.ClickException as error:
            complain(_one_line(error))
            code = EXIT_USAGE
        # Click makes this of KeyboardInterrupt. In a haul SIGINT is handled, so it comes from other commands.
        except click.Abort:
            complain("interrupted")
            code = EXIT_SIGINT
        return code


@contextlib.contextmanager
def _text_on_stdout() -> Iterator[None]:
    """Exit with 0 where click could not write its help or version: nothing else was to be done."""
    try:
        yield
    except OSError as error:
        if _is_stdout(error):
            give_up_stdout(error)
            raise click.exceptions.Exit(0) from error
        if isinstance(error, BrokenPipeError):
            # click would leave with 1 for it, and without a word.
            raise RuntimeError("a pipe or a connection has lost its other end") from error
        raise


def _is_stdout(error: OSError) -> bool:
    """Whether the last thing that failed was a write to stdout, which no name of a file tells."""
    # Click writes by `click.echo`, which is in its `utils`; ours goes through `say`, which raises nothing.
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == click.utils.__file__


def leave_on_signals() -> None:
    """Turn SIGTERM and SIGHUP into an orderly exit with 143.

    A haul puts its own handlers in place while it runs. Under `nohup` SIGHUP stays ignored.
    """

    def leave(_number: int, _frame: object) -> None:
        # SystemExit passes every `except Exception` and runs what is to be tidied up, such as locks.
        sys.exit(EXIT_SIGTERM)

    for number in stopping_signals():
        signal.signal(number, leave)


def stopping_signals() -> tuple[signal.Signals, ...]:
    """SIGTERM, and SIGHUP unless this process was started to outlive its terminal."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return (signal.SIGTERM,)
    return signal.SIGTERM, signal.SIGHUP


def _log_format(args: Sequence[str] | None) -> str:
    """What `--log-format` asks for, as far as can be told: click reads no option where another is wrong."""
    joined = " ".join(sys.argv[1:] if args is None else args)
    return "json" if re.search(r"(?:^| )--log-format[= ]json(?: |$)", joined) else "text"


def _one_line(error: click.ClickException) -> str:
    text = printable(error.format_message().replace("\n", " "))
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    return text if ctx is None else f"{text.removesuffix('.')}; see: {ctx.command_path} --help"
