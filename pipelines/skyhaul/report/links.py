"""`skyhaul links`: a line a link, then what is to be said of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from skyhaul.hauling.links.view import LinkView
from skyhaul.report.table import columns
from skyhaul_schemas.units import format_rate, format_size, instant


@dataclass(frozen=True, slots=True)
class LinksReport:
    """The links of a job, one after the other."""

    views: Sequence[LinkView]

    def lines(self) -> Iterator[str]:
        views = self.views
        head = ("link", "role", "state", "rate", "now", "this cycle", "free hours", "price")
        rows = [
            (
                view.name,
                view.role,
                view.state,
                _rate(view),
                "" if view.goodput is None else format_rate(view.goodput),
                _cycle(view),
                "" if not view.free_bytes else format_size(view.free_bytes),
                "" if view.cost is None else f"{view.cost:,.2f} {view.currency}".rstrip(),
            )
            for view in views
        ]
        yield from columns(head, rows, right="---rrrrr")
        for view in views:
            if view.reason is not None:
                yield f"  {view.name}: {view.reason}"
            elif view.until is not None:
                yield f"  {view.name}: opens {instant(view.until)}"
            if view.cycle_end is not None:
                yield f"  {view.name}: the cycle ends {instant(view.cycle_end)}; counted as {view.account!r}"
        if not views:
            yield "no source goes over a link"

    def to_json(self) -> list[dict[str, Any]]:
        return [view.to_json() for view in self.views]


def _rate(view: LinkView) -> str:
    if view.set_to is not None:
        return "off (set)" if view.set_to == 0 else f"{format_rate(view.set_to)} (set)"
    return "not limited" if view.rate is None else format_rate(view.rate)


def _cycle(view: LinkView) -> str:
    if view.counted_bytes is None:
        return ""
    used = format_size(view.counted_bytes)
    return used if view.cap_bytes is None else f"{used} of {format_size(view.cap_bytes)}"
