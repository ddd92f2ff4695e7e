"""What `run` and `replay` share: their options, and the haul with its progress and summary."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from skyhaul.cli.group import BEAM_ARGS
from skyhaul.cli.lean_start import import_beam
from skyhaul.cli.params import deadline, duration
from skyhaul.cli.progress import progress_of
from skyhaul.cli.session import Session
from skyhaul.cli.target import named

if TYPE_CHECKING:
    from skyhaul.dataset.storage.store import DatasetStore
    from skyhaul.hauling.config import HaulOptions
    from skyhaul_schemas.job.file import LoadedJob

Command = Callable[..., Any]


def haul_options(command: Command) -> Command:
    """The options of a haul. They reach the command as one `HaulOptions`, its argument `options`."""

    @wraps(command)
    def with_options(
        *args: Any,
        workers: int,
        runner: str,
        max_duration: float | None,
        deadline: float | str | None,
        wait: bool,
        **others: Any,
    ) -> Any:
        from skyhaul.hauling.config import HaulOptions

        options = HaulOptions(
            workers=workers,
            runner=runner,
            max_duration=max_duration,
            deadline=deadline,
            wait=wait,
            beam_args=click.get_current_context().meta.get(BEAM_ARGS, ()),
        )
        return command(*args, options=options, **others)

    return _with_flags(with_options)


def _with_flags(command: Command) -> Command:
    # Click lists first the option that is put on last.
    for option in (
        click.option(
            "--wait", is_flag=True, help="Where no link has a contact now, sleep until the next one."
        ),
        click.option(
            "--deadline",
            callback=deadline,
            metavar="T",
            help="When to be done (6h, 2026-11-23T06:00Z): overflow links help where it would be missed.",
        ),
        click.option(
            "--max-duration", callback=duration, metavar="T", help="Stop after T (30m, 1h30m); exit 75."
        ),
        click.option(
            "--runner",
            default="DirectRunner",
            show_default=True,
            metavar="NAME",
            help="DirectRunner, FlinkRunner, PortableRunner, PrismRunner, DataflowRunner (never run here).",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 1024),
            default=1,
            show_default=True,
            metavar="N",
            help="Shards that are encoded side by side.",
        ),
    ):
        command = option(command)
    return command


def haul_and_report(
    session: Session, target: str, loaded: LoadedJob, store: DatasetStore, options: HaulOptions
) -> int:
    """Haul, print the summary. `target` is what the user typed for the job. Returns the exit code."""
    from skyhaul.beam.driver import haul_on_beam
    from skyhaul.hauling.config import IN_PROCESS
    from skyhaul.report.run import RunReport

    # On other runners Beam may need what a lean start hides, such as its parts for a cloud.
    if options.runner == IN_PROCESS:
        import_beam()
    with progress_of(session) as watcher:
        outcome = haul_on_beam(loaded, store, options, watcher)
    session.show(RunReport.of(outcome, target=named(target), dataset=store.place, uses=watcher.meter.uses()))
    return outcome.exit_code
