"""`skyhaul plan --extend` and `--amend`: what it did to the plan, one object a line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.planning.build.difference import ObjectChange, PlanUpdate
from skyhaul.report.left_out import left_out_json, left_out_lines, unchecked_json, unchecked_lines
from skyhaul.report.table import columns, plural
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import exact_size, format_size

LINES = 50
"""Changes shown one by one; --json lists more. What a person looks through. Chosen, not measured."""

_MEANING = {
    "planned": "new: planned",
    "pinned-anew": "pinned anew",
    "dropped": "dropped",
    "cut-short": "cut short: a part is committed and stays, the rest is dropped",
    "kept": "kept: all of it is committed as it was",
}


@dataclass(frozen=True, slots=True)
class PlanUpdateReport:
    """An extension or an amendment of a plan."""

    update: PlanUpdate
    target: str
    """What the user typed for the job."""

    def lines(self) -> Iterator[str]:
        update = self.update
        job = shlex.quote(self.target)
        header = update.header
        yield _headline(update)
        shown = [change for change in update.changes if change.outcome != "planned"]
        rows = [(change.what, f"{change.source}/{printable(change.path)}", _said(change)) for change in shown]
        for line in columns(("what", "object", "outcome"), rows[:LINES], right="---") if rows else ():
            yield f"  {line}"
        # Counted by `counts`: `changes` holds the first ones only.
        total = sum(number for name, number in update.counts.items() if not name.endswith(" planned"))
        if total > min(len(rows), LINES):
            yield f"  and {total - min(len(rows), LINES):,} more; --json lists them"
        for line in left_out_lines(update.left_out, update.left_out_names):
            yield f"  {line}"
        for line in unchecked_lines(update.unchecked, update.unchecked_names):
            yield f"  {line}"
        for line in update.set_aside[:LINES]:
            yield f"  {line}"
        if len(update.set_aside) > LINES:
            yield f"  and {len(update.set_aside) - LINES:,} more; --json lists them"
        yield f"  digest {header.digest}"
        if update.generation is not None or update.set_aside:
            yield f"next: skyhaul run {job}"
        elif update.kind == "extend" and update.count("changed") + update.count("vanished"):
            yield f"next: skyhaul plan --amend {job}"
        elif update.kind == "amend" and update.count("new"):
            yield f"next: skyhaul plan --extend {job}"

    def to_json(self) -> dict[str, Any]:
        update = self.update
        return {
            **update.to_json(),
            **left_out_json(update.left_out, update.left_out_names),
            **unchecked_json(update.unchecked, update.unchecked_names),
        }


def _headline(update: PlanUpdate) -> str:
    name = update.header.name
    if update.kind == "extend":
        if update.generation is None:
            return f"nothing new: {name}, {plural(update.header.shards, 'shard')} as before"
        return (
            f"extended: {name}, {plural(update.count('new'), 'object')} more, {format_size(update.bytes)},"
            f" {plural(update.shards, 'further shard')} of {update.header.shards:,}"
        )
    if update.generation is None:
        return f"nothing to amend: {name}, {plural(update.header.shards, 'shard')} as before"
    more = f", {plural(update.shards, 'further shard')}" if update.shards else ""
    return f"amended: {name}, {plural(len(update.amended), 'shard')} changed{more}"


def _said(change: ObjectChange) -> str:
    if change.outcome == "left":
        return f"left alone; {'--extend plans' if change.what == 'new' else '--amend sees to'} it"
    text = _MEANING[change.outcome]
    if change.size is not None and change.planned_size is not None and change.size != change.planned_size:
        return f"{text} ({exact_size(change.planned_size)}, now {exact_size(change.size)})"
    return text
