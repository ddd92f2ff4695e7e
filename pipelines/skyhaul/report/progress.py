"""Progress of a command: silent, or a line now and then (bars on a terminal are in `bars`). All on stderr."""

from __future__ import annotations

import logging
from dataclasses import asdict
from types import TracebackType
from typing import Any

from skyhaul.hauling.progress import Hauling, LinkProgress, Planning, Progress, Verifying
from skyhaul.report.link_use import LinkMeter
from skyhaul.report.table import plural
from skyhaul_schemas.units import format_duration, format_rate, format_size

PERIOD = 10.0
"""Seconds between two plain lines. Chosen, not measured: a haul of a day logs 9,000 lines."""

log = logging.getLogger("skyhaul.progress")


class ProgressReport:
    """Watches a haul without a word, and meters its links. The others show something as well.

    Is an observer of hauls (`skyhaul.hauling.progress.HaulObserver`) and a context: what it draws is gone or
    final at its end. Snapshots come from one thread, the last one from another once that has ended
    (`skyhaul.hauling.watch`), so nothing here is locked.
    """

    def __init__(self) -> None:
        self.meter = LinkMeter()

    def progress(self, progress: Progress) -> None:
        if isinstance(progress, Hauling):
            self.meter.add(progress)
        self._show(progress)

    def event(self, message: str) -> None:
        log.info(message)

    def _show(self, progress: Progress) -> None:
        return None

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class PlainProgress(ProgressReport):
    """A log line every `PERIOD` seconds, and where a haul begins.

    Phases that only count wait for the first `PERIOD`: they have often ended by the time that there is
    something to say.
    """

    def __init__(self) -> None:
        super().__init__()
        self._phase = ""
        self._next = 0.0

    def _show(self, progress: Progress) -> None:
        if progress.phase != self._phase:
            self._phase = progress.phase
            self._next = progress.elapsed + (0 if isinstance(progress, Hauling) else PERIOD)
        # By the snapshots' own clock, so that tests need no other; snapshots come a few times a second.
        if progress.elapsed < self._next:
            return
        self._next = progress.elapsed + PERIOD
        log.info(line(progress), extra={"fields": {"progress": progress_json(progress)}})


def line(progress: Progress) -> str:
    """A snapshot in one line."""
    if not isinstance(progress, Hauling):
        return f"{progress.phase}: {counted(progress)}"
    parts = [
        f"{progress.phase}: {of_size(progress)} ({share(progress):.0%})",
        shards(progress),
        *(link_text(link) for link in progress.links),
    ]
    if progress.eta is not None:
        parts.append(f"{format_duration(progress.eta)} left")
    return ", ".join(parts)


def counted(progress: Planning | Verifying) -> str:
    """What is counted where no bytes move."""
    if isinstance(progress, Planning):
        return f"{progress.objects:,} objects listed, {format_size(progress.source_bytes)}"
    return f"{progress.shards_read:,} of {progress.shards:,} shards, {format_size(progress.bytes_read)} read"


def progress_json(progress: Progress) -> dict[str, Any]:
    """The event's own field `progress` of a JSON log line.

    Its keys are a promise, the same in every phase: while a plan is made `shards` counts the objects that
    were listed.
    """
    if isinstance(progress, Hauling):
        # A field that Hauling gains becomes a key; this one is told by the phase.
        snapshot = asdict(progress)
        del snapshot["finishing"]
        return {"phase": progress.phase, **snapshot}
    if isinstance(progress, Planning):
        size, count, done = progress.source_bytes, progress.objects, 0
    else:
        size, count, done = progress.bytes_read, progress.shards, progress.shards_read
    # Made of a Hauling, so that there is one list of keys.
    nothing = Hauling(progress.elapsed, size, 0, count, done, 0, 0, 0, 0, 0, (), None)
    return {**progress_json(nothing), "phase": progress.phase}


def share(progress: Hauling) -> float:
    """How much of the source bytes is done, 0 to 1. A plan of empty objects is done by its shards."""
    if progress.source_bytes:
        return progress.source_bytes_done / progress.source_bytes
    return progress.shards_committed / progress.shards if progress.shards else 1.0


def of_size(progress: Hauling) -> str:
    return f"{format_size(progress.source_bytes_done)} of {format_size(progress.source_bytes)}"


def shards(progress: Hauling) -> str:
    text = f"{progress.shards_committed:,} of {progress.shards:,} shards"
    if progress.shards_failed:
        text += f", {progress.shards_failed:,} failed"
    if progress.shards_deferred:
        text += f", {progress.shards_deferred:,} put off"
    return text


def link_text(link: LinkProgress) -> str:
    """`leo 11.6 of 12.0 Mbit/s, 1 outage`, or `leo down`."""
    rate = format_rate(link.rate)
    if link.capacity:
        capacity = format_rate(link.capacity)
        same = rate.split()[1] == capacity.split()[1]
        rate = f"{rate.split()[0] if same else rate} of {capacity}"
    text = f"{link.name} {rate}" if link.state == "up" else f"{link.name} {link.state}"
    return text + (f", {plural(link.outages, 'outage')}" if link.outages else "")
