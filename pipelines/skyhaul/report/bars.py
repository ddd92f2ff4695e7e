"""Progress bars on a terminal: the whole haul, its shards, and a line a link."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from skyhaul.hauling.progress import Hauling, LinkProgress, Progress
from skyhaul.report.progress import ProgressReport, counted, link_text, of_size, shards, share
from skyhaul.report.table import plural
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import format_duration, format_size

BAR_WIDTH = 18
"""Characters: what a link's name, rates and counts leave of 80 columns (tests/report/test_progress.py)."""


class BarProgress(ProgressReport):
    """Redraws in place at each snapshot; log lines scroll above. The last state stays on the screen."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._live = Live(
            # stdout has only the result, even where both are the same terminal.
            console=console or Console(stderr=True),
            # No thread of rich's own: each snapshot draws, and they come a few times a second.
            auto_refresh=False,
            redirect_stdout=False,
            # Log lines go through rich, which puts them above the block (`logs._StderrNow`).
            redirect_stderr=True,
            # What is taller than the terminal could not be redrawn in place.
            vertical_overflow="crop",
        )

    def __enter__(self) -> BarProgress:
        with suppress(OSError):
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._live.stop()

    def _show(self, progress: Progress) -> None:
        with suppress(OSError):  # the terminal may be gone, which is no end of the haul
            self._live.update(drawing(progress), refresh=True)


def drawing(progress: Progress) -> RenderableType:
    """A snapshot as a block of lines that fits 80 columns."""
    if not isinstance(progress, Hauling):
        return Text(f"{progress.phase}  {counted(progress)}")
    grid = Table.grid(padding=(0, 1))
    names = [_short(link.name) for link in progress.links]
    grid.add_column(no_wrap=True, min_width=max(map(len, [*names, "shards"])))
    grid.add_column(no_wrap=True, min_width=BAR_WIDTH)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    left = format_duration(progress.elapsed)
    if progress.eta is not None:
        left += f", {format_duration(progress.eta)} left"
    done = share(progress)
    grid.add_row(Text("bytes"), _bar(done, 1.0, "cyan"), f"{done:4.0%} {of_size(progress)}  {left}")
    # Those that were put off are not done: the next run hauls them.
    settled = progress.shards_committed + progress.shards_failed
    style = "red" if progress.shards_failed else "green"
    grid.add_row(Text("shards"), _bar(settled, progress.shards, style), shards(progress))
    for name, link in zip(names, progress.links, strict=True):
        grid.add_row(Text(name), _link_bar(link), _link_line(link))
    counts = Text(
        f"records {progress.records_read:,} read, {progress.records_written:,} written,"
        f" {progress.records_rejected:,} rejected",
        style="dim",
    )
    return Group(grid, counts)


def _bar(done: float, total: float, style: str) -> Text:
    """Full and light blocks, so that it reads the same without colour."""
    full = round(BAR_WIDTH * min(done / total, 1.0)) if total else BAR_WIDTH
    return Text("█" * full, style=style).append("░" * (BAR_WIDTH - full), style="dim")


def _link_bar(link: LinkProgress) -> Text:
    """The link's rate against what it can carry; an outage leaves the bar empty."""
    if link.capacity is None:
        return Text("")
    return _bar(link.rate if link.state == "up" else 0.0, link.capacity, "magenta")


def _link_line(link: LinkProgress) -> Text:
    text = Text(link_text(link).removeprefix(f"{link.name} ").partition(",")[0])
    if link.state != "up":
        text.stylize("bold red")
    details = [format_size(link.resent_bytes) + " re-sent"] if link.resent_bytes else []
    details += [plural(link.outages, "outage")] if link.outages else []
    return text.append("  " + ", ".join(details), style="dim")


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= 12 else text[:11] + "…"
