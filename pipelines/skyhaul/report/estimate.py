"""`skyhaul estimate`: when it will be done, and what stands in the way."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.forecast.outlook import Outlook, Quantiles
from skyhaul.report.table import columns, labelled, plural
from skyhaul_schemas.units import format_duration, format_size

_DATED_FROM = 3600.0
"""Seconds from which on people want to know the date."""


@dataclass(frozen=True, slots=True)
class EstimateReport:
    """A forecast."""

    outlook: Outlook
    target: str
    """What the user typed for the job."""

    def lines(self) -> Iterator[str]:
        outlook = self.outlook
        if not outlook.sources:
            yield f"{outlook.name}: nothing is left to haul over a link"
            yield from _about(outlook)
            return
        plan = (
            "of the plan there is"
            if outlook.planned
            else "of what the sources list now; nothing is planned yet"
        )
        yield (
            f"{outlook.name}: {format_size(outlook.bytes)} in {plural(outlook.shards, 'shard')}, {plan};"
            f" {plural(outlook.seeds, 'seed')}"
        )
        yield from labelled(list(_rows(outlook)))
        for line in columns(
            ("source", "bytes", "shards", "links", "done in"),
            [
                (s.name, format_size(s.bytes), f"{s.shards:,}", ", ".join(s.links), _span(s.seconds))
                for s in outlook.sources
            ],
            right="-rr",
        ):
            yield f"  {line}"
        for line in columns(
            ("link", "role", "payload", "on the wire", "re-sent", "price"),
            [
                (
                    link.name,
                    link.role,
                    format_size(link.payload),
                    format_size(link.wire),
                    format_size(link.resent),
                    "" if link.price is None else f"{link.price:,.2f} {link.currency}".rstrip(),
                )
                for link in outlook.links
            ],
            right="--rrrr",
        ):
            yield f"  {line}"
        for hint in dict.fromkeys(source.hint for source in outlook.sources if source.hint):
            yield f"  {hint}"
        yield from _about(outlook)
        yield f"next: skyhaul run {shlex.quote(self.target)}"

    def to_json(self) -> dict[str, Any]:
        return self.outlook.to_json()


def _rows(outlook: Outlook) -> Iterator[tuple[str, str]]:
    yield "done in", _span(outlook.seconds)
    dates = [outlook.date(value) for value in (outlook.seconds.p10, outlook.seconds.p50, outlook.seconds.p90)]
    if dates[1] is not None and (outlook.dated or outlook.seconds.p50 >= _DATED_FROM):
        low, middle, high = (f"{date:%Y-%m-%d %H:%M}" if date is not None else "never" for date in dates)
        yield "done at", f"{middle} UTC (10 %: {low}, 90 %: {high})"
    if outlook.unfinished:
        yield (
            "not done",
            f"in {outlook.unfinished:.0%} of the seeds: the links' contacts, hours or caps end with"
            f" {format_size(outlook.bytes_left)} left",
        )
    if outlook.deadline is not None:
        date = outlook.date(outlook.deadline)
        when = "for ever" if date is None else f"by {date:%Y-%m-%d %H:%M} UTC"
        yield "deadline", f"{when}, met in {outlook.in_time:.0%} of the seeds"
    if outlook.limits:
        yield "limited by", ", ".join(f"{name} ({share:.0%})" for name, share in outlook.limits)


def _span(seconds: Quantiles) -> str:
    # A seed whose contacts end before the haul does takes for ever: infinity sorts last among the quantiles.
    low, middle, high = (
        format_duration(value) if math.isfinite(value) else "never"
        for value in (seconds.p10, seconds.p50, seconds.p90)
    )
    return f"{middle} (10 %: {low}, 90 %: {high})"


def _about(outlook: Outlook) -> Iterator[str]:
    if outlook.unlinked:
        yield f"  not in it: {', '.join(outlook.unlinked)} (no link, so that nothing says how fast it comes)"
    for note in outlook.notes:
        yield f"  {note}"
