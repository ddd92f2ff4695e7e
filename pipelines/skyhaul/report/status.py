"""`skyhaul status`: what is committed, failed and left, by source and by link."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.dataset.survey import Survey, unfit_lines
from skyhaul.report.left_out import left_out_json, left_out_lines, unchecked_json, unchecked_lines
from skyhaul.report.table import columns, labelled, next_lines, nulled_row, plural, truncated_row
from skyhaul.report.throughput import Throughput
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.units import format_size


@dataclass(frozen=True, slots=True)
class StatusReport:
    """A dataset as it stands."""

    seen: Survey
    header: PlanHeader
    dataset: str
    target: str
    """What the user typed for the job."""
    throughput: Throughput | None = None
    """How fast it grows; None unless it is watched."""

    def lines(self) -> Iterator[str]:
        seen, header = self.seen, self.header
        retry = f" ({seen.shards_to_retry:,} after a failure)" if seen.shards_to_retry else ""
        yield (
            f"{header.name}: {seen.shards_committed:,} of {plural(seen.shards, 'shard')} committed,"
            f" {seen.shards_failed:,} failed, {seen.shards_left:,} left{retry}"
        )
        yield from labelled(list(self._rows()))
        for line in _by_source(seen):
            yield f"  {line}"
        for line in _by_link(seen):
            yield f"  {line}"
        for line in left_out_lines(header.left_out, header.left_out_names):
            yield f"  {line}"
        for line in unchecked_lines(header.unchecked, header.unchecked_names):
            yield f"  {line}"
        yield from map(str, seen.undelivered)
        yield from unfit_lines(seen)
        yield from next_lines(_next_steps(seen, self.target))

    def _rows(self) -> Iterator[tuple[str, str]]:
        seen, records = self.seen, self.seen.records
        yield (
            "source bytes",
            f"{format_size(seen.source_bytes_committed)} of {format_size(seen.source_bytes)}",
        )
        if self.throughput is not None:
            yield "pace", str(self.throughput)
        yield "objects", _of(seen.objects_committed, seen.objects, seen.damaged_objects)
        yield (
            "records",
            f"{records.read:,} read, {records.written:,} written, {records.filtered:,} filtered,"
            f" {records.rejected:,} rejected, {records.passed_over:,} passed over",
        )
        yield from nulled_row(seen.nulled_by)
        yield from truncated_row(seen.truncated_by)
        yield "dataset", f"{self.dataset}, {format_size(seen.dataset_bytes)}"
        if seen.failed_by_kind:
            yield "failures", ", ".join(f"{n:,} {kind}" for kind, n in seen.failed_by_kind.items())

    def to_json(self) -> dict[str, Any]:
        header = self.header
        value = {
            "dataset": self.dataset,
            "name": header.name,
            "plan": header.digest,
            **self.seen.to_json(),
            **left_out_json(header.left_out, header.left_out_names),
            **unchecked_json(header.unchecked, header.unchecked_names),
        }
        # `gain` is a promise to scripts; in code it is called throughput.
        return value if self.throughput is None else {**value, "gain": self.throughput.to_json()}


def _of(done: int, total: int, damaged: int) -> str:
    return f"{done:,} of {total:,}" + (f", {damaged:,} damaged" if damaged else "")


def _by_source(seen: Survey) -> Iterator[str]:
    head = ("source", "committed", "failed", "left", "of shards", "bytes", "of bytes")
    rows = [
        (
            name,
            f"{part.committed:,}",
            f"{part.failed:,}",
            f"{part.left:,}",
            f"{part.shards:,}",
            format_size(part.source_bytes_committed),
            format_size(part.source_bytes),
        )
        for name, part in sorted(seen.by_source.items())
    ]
    yield from columns(head, rows, right="-rrrrrr")


def _by_link(seen: Survey) -> Iterator[str]:
    """Of what is committed; nothing where no link was needed."""
    head = ("link", "payload", "on the wire", "re-sent")
    rows = [
        (name, format_size(t.payload_bytes), format_size(t.wire_bytes), format_size(t.resent_bytes))
        for name, t in sorted(seen.transfer.items())
    ]
    if rows:
        yield from columns(head, rows, right="-rrr")


def _next_steps(seen: Survey, target: str) -> list[str]:
    job = shlex.quote(target)
    if seen.unfit_total:
        return [f"skyhaul replay --damaged {job}", *([f"skyhaul run {job}"] if seen.shards_to_haul else [])]
    if seen.shards_left:
        return [f"skyhaul run {job}"]
    if seen.shards_failed:
        return [f"skyhaul failures {job}", f"skyhaul replay {job}"]
    return [f"skyhaul verify {job}"]
