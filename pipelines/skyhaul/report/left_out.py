"""What the sources list and a plan does not hold, by reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from skyhaul.report.table import plural
from skyhaul_schemas.printable import printable

NAMES_SHOWN = 3
"""Names of each reason on one line: what fits beside the reason on a terminal."""


Counts = Mapping[str, Mapping[str, int]]
"""Source -> reason -> how many."""
Names = Mapping[str, Mapping[str, Sequence[str]]]
"""Source -> reason -> a few."""


def left_out_json(counts: Counts, names: Names) -> dict[str, Any]:
    """The two keys of JSON that say what a plan leaves out.

    `left_out`: reason -> count over all sources; `left_out_names`: reason -> a few names, each with its
    source before it.
    """
    totals: dict[str, int] = {}
    kept: dict[str, list[str]] = {}
    for source, reasons in sorted(counts.items()):
        for reason, count in reasons.items():
            totals[reason] = totals.get(reason, 0) + count
            found = names.get(source, {}).get(reason, [])
            kept.setdefault(reason, []).extend(f"{source}/{name}" for name in found)
    return {"left_out": dict(sorted(totals.items())), "left_out_names": dict(sorted(kept.items()))}


def left_out_lines(counts: Counts, names: Names) -> Iterator[str]:
    """One line a source and reason: `left out of s: 2 names: a link to another server (a, b)`."""
    for source, reasons in sorted(counts.items()):
        for reason, count in sorted(reasons.items()):
            kept = names.get(source, {}).get(reason, [])
            more = ", …" if count > len(kept[:NAMES_SHOWN]) else ""
            shown = f" ({', '.join(kept[:NAMES_SHOWN])}{more})" if kept else ""
            yield printable(f"left out of {source}: {plural(count, 'name')}: {reason}{shown}")


def unchecked_json(counts: Counts, names: Names) -> dict[str, Any]:
    """`unchecked` and `unchecked_names`, as `left_out_json` has its."""
    totals = left_out_json(counts, names)
    return {"unchecked": totals["left_out"], "unchecked_names": totals["left_out_names"]}


def unchecked_lines(counts: Counts, names: Names) -> Iterator[str]:
    """One line a source and reason: `not checked of s: 2 names: an object that no line … (a, b)`."""
    for line in left_out_lines(counts, names):
        yield f"not checked{line.removeprefix('left out')}"
