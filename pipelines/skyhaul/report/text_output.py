"""Results for people: plain lines on stdout, no colour."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skyhaul.report.output import Output
from skyhaul.report.stdio import say
from skyhaul.report.table import columns, labelled, plural
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import format_duration, format_size

if TYPE_CHECKING:
    from skyhaul.report.plan_view import PlanView
    from skyhaul.report.summary import RunSummary
    from skyhaul_schemas.commit import FailureRecord


class TextOutput(Output):
    def plan(self, view: PlanView) -> None:
        header = view.header
        made = "planned" if view.fresh else "the plan there is"
        say(
            f"{made}: {header.name}, {plural(header.objects, 'object')}, {format_size(header.source_bytes)},"
            f" {plural(header.shards, 'shard')}, into {view.dataset}"
        )
        head = ("source", "objects", "bytes", "chunks", "shards", "links", "at least")
        rows = [
            (
                source.name,
                f"{source.objects:,}",
                format_size(source.bytes),
                f"{source.chunks:,}",
                f"{source.shards:,}",
                ", ".join(source.links) or "the plain network",
                "" if source.seconds is None else format_duration(source.seconds),
            )
            for source in view.sources
        ]
        for line in columns(head, rows, right="-rrrr-r"):
            say(f"  {line}")
        if header.unpinned:
            say(f"  {plural(header.unpinned, 'object')} pinned by size alone: the source states no version")
        say(f"  digest {header.digest}")
        say(f"next: skyhaul run {shlex.quote(view.target)}")

    def run(self, summary: RunSummary) -> None:
        say(summary.headline())
        for line in labelled(summary.rows()):
            say(line)
        for message in summary.messages:
            say(printable(message))
        for i, step in enumerate(summary.next_steps()):
            say(("next: " if i == 0 else "      ") + printable(step))

    def failures(self, records: Sequence[FailureRecord], *, target: str) -> None:
        if not records:
            say("nothing has failed")
            return
        head = ("shard", "source", "class", "attempts", "next", "reason")
        rows = [
            (
                f"{record.shard}",
                record.source,
                record.kind,
                f"{record.attempts}",
                "replay" if record.final else "run",
                record.reason,
            )
            for record in records
        ]
        for line in columns(head, rows, right="r--r--"):
            say(line)
        job = shlex.quote(target)
        say(f"next: skyhaul {'replay' if any(record.final for record in records) else 'run'} {job}")
