"""The table of `skyhaul links`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skyhaul.hauling.links.view import LinkView
from skyhaul.report.table import columns
from skyhaul_schemas.units import format_rate, format_size, instant


def lines(views: Sequence[LinkView]) -> Iterator[str]:
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


def _rate(view: LinkView) -> str:
    if view.set_to is not None:
        return "off (set)" if view.set_to == 0 else f"{format_rate(view.set_to)} (set)"
    return "not limited" if view.rate is None else format_rate(view.rate)


def _cycle(view: LinkView) -> str:
    if view.counted_bytes is None:
        return ""
    used = format_size(view.counted_bytes)
    return used if view.cap_bytes is None else f"{used} of {format_size(view.cap_bytes)}"
