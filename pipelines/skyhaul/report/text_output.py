"""Results for people: plain lines on stdout, no colour."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from skyhaul.report import stdio
from skyhaul.report.formats import format_lines
from skyhaul.report.left_out import left_out_lines, unchecked_lines
from skyhaul.report.output import Output
from skyhaul.report.table import columns, labelled, nulled_row, plural, truncated_row
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import format_duration, format_rate, format_size

if TYPE_CHECKING:
    from skyhaul.certify.certificate import Certificate
    from skyhaul.dataset.survey import Survey
    from skyhaul.forecast.outlook import Outlook
    from skyhaul.hauling.links.view import LinkView
    from skyhaul.planning.build.difference import PlanUpdate
    from skyhaul.report.gain import Gain
    from skyhaul.report.mending import Mending
    from skyhaul.report.plan_view import PlanView
    from skyhaul.report.spools import SpoolReport
    from skyhaul.report.summary import RunSummary
    from skyhaul.verification.report import VerifyReport
    from skyhaul_connectors.formats.registry import Listed
    from skyhaul_connectors.links.profile.profile import LinkProfile
    from skyhaul_schemas.commit import FailureRecord
    from skyhaul_schemas.plan import PlanHeader


def say(text: str) -> None:
    """A line on stdout. Whatever it quotes from outside is made printable, last of all here."""
    stdio.say(printable(text))


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
        for source in view.sources:
            if source.needed < source.bytes:
                say(f"  of {source.name}, {format_size(source.needed)} are needed for the columns it takes")
        if header.unpinned:
            say(f"  {plural(header.unpinned, 'object')} pinned by size alone: the source states no version")
        if header.empty:
            say(f"  {plural(header.empty, 'object')} without a byte")
        for line in left_out_lines(header.left_out, header.left_out_names):
            say(f"  {line}")
        for line in unchecked_lines(header.unchecked, header.unchecked_names):
            say(f"  {line}")
        say(f"  digest {header.digest}")
        say(f"next: skyhaul run {shlex.quote(view.target)}")

    def plan_update(self, update: PlanUpdate, *, target: str) -> None:
        from skyhaul.report.plan_update import lines

        for line in lines(update, target):
            say(line)

    def estimate(self, outlook: Outlook, *, target: str) -> None:
        from skyhaul.report.forecast import lines

        for line in lines(outlook, target):
            say(line)

    def run(self, summary: RunSummary) -> None:
        say(summary.headline())
        for line in labelled(summary.rows()):
            say(line)
        for message in summary.messages:
            say(printable(message))
        for i, step in enumerate(summary.next_steps()):
            say(("next: " if i == 0 else "      ") + printable(step))

    def status(
        self, seen: Survey, header: PlanHeader, *, dataset: str, target: str, gain: Gain | None = None
    ) -> None:
        from skyhaul.dataset.survey import unfit_lines

        retry = f" ({seen.shards_to_retry:,} after a failure)" if seen.shards_to_retry else ""
        say(
            f"{header.name}: {seen.shards_committed:,} of {plural(seen.shards, 'shard')} committed,"
            f" {seen.shards_failed:,} failed, {seen.shards_left:,} left{retry}"
        )
        records = seen.records
        rows = [
            (
                "source bytes",
                f"{format_size(seen.source_bytes_committed)} of {format_size(seen.source_bytes)}",
            ),
            ("objects", _of(seen.objects_committed, seen.objects, seen.damaged_objects)),
            (
                "records",
                f"{records.read:,} read, {records.written:,} written, {records.filtered:,} filtered,"
                f" {records.rejected:,} rejected, {records.passed_over:,} passed over",
            ),
            *nulled_row(seen.nulled_by),
            *truncated_row(seen.truncated_by),
            ("dataset", f"{dataset}, {format_size(seen.dataset_bytes)}"),
        ]
        if gain is not None:
            rows.insert(1, ("pace", str(gain)))
        if seen.failed_by_kind:
            rows.append(("failures", ", ".join(f"{n:,} {kind}" for kind, n in seen.failed_by_kind.items())))
        for line in labelled(rows):
            say(line)
        for line in _by_source(seen):
            say(f"  {line}")
        for line in _by_link(seen):
            say(f"  {line}")
        for line in left_out_lines(header.left_out, header.left_out_names):
            say(f"  {line}")
        for line in unchecked_lines(header.unchecked, header.unchecked_names):
            say(f"  {line}")
        for told in (*map(str, seen.undelivered), *unfit_lines(seen)):
            say(printable(told))
        for i, step in enumerate(_after(seen, target)):
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

    def verify(self, report: VerifyReport) -> None:
        for finding in report.findings:
            say(printable(str(finding)))
        kept = len(report.findings)
        if report.findings_total > kept:
            say(f"and {report.findings_total - kept:,} findings more")
        for source in report.undelivered:
            say(printable(str(source)))
        if report.without_digest:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.without_digest.items()))
            say(f"without a digest of their own, so that rot in them shows only elsewhere: {kinds}")
        say(_verdict(report))
        nulled = f" {plural(report.nulled, 'field')} made null," if report.nulled else ""
        truncated = f" {plural(report.truncated, 'truncated image')}," if report.truncated else ""
        depth = "every page read" if report.pages_read else "pages not read; --deep does"
        say(
            f"  {plural(report.files, 'file')}, {format_size(report.bytes)}, {plural(report.rows, 'row')},"
            f" {plural(report.rejects, 'reject')}, {report.passed_over:,} passed over,{nulled}{truncated}"
            f" {report.shards_committed:,} of {plural(report.shards, 'shard')}; {depth}"
        )

    def certificate(self, certificate: Certificate, *, target: str) -> None:
        from skyhaul.report.certificate import lines

        for line in lines(certificate, target):
            say(line)

    def mending(self, mending: Mending) -> None:
        for line in mending.lines():
            say(line)

    def links(self, views: Sequence[LinkView]) -> None:
        from skyhaul.report.link_table import lines

        for line in lines(views):
            say(line)
        if not views:
            say("no source goes over a link")

    def spools(self, report: SpoolReport) -> None:
        if not report.lines:
            say(f"no spools below {report.root}")
            return
        rows = [
            (
                line.state,
                format_size(line.folder.bytes),
                plural(line.folder.shards, "shard"),
                format_duration(line.folder.idle),
                "" if line.folder.holder is None else str(line.folder.holder),
                str(line.folder.path),
            )
            for line in report.lines
        ]
        for row in columns(("state", "bytes", "holds", "idle", "process", "spool"), rows, right="-r-rr"):
            say(row)
        if any(line.state == "stale" for line in report.lines):
            say(f"next: skyhaul spool --clean {shlex.quote(report.target)}")

    def formats(self, listed: Sequence[Listed]) -> None:
        for line in format_lines(listed):
            say(line)

    def presets(self, presets: Mapping[str, LinkProfile]) -> None:
        head = ("preset", "rtt", "down", "up", "loss down", "loss up")
        rows = [
            (
                name,
                _round_trip(profile),
                _rate(profile.down),
                _rate(profile.up),
                f"{profile.loss * 100:.3g} %",
                f"{profile.loss_up * 100:.3g} %",
            )
            for name, profile in presets.items()
        ]
        lines = list(columns(head, rows, right="-rrrrr"))
        say(lines[0])
        for line, profile in zip(lines[1:], presets.values(), strict=True):
            say(line)
            for note in textwrap.wrap(profile.note, 94):
                say(f"    {printable(note)}")


def _round_trip(profile: LinkProfile) -> str:
    low = f"{profile.rtt * 1000:.0f}"
    return f"{low}-{(profile.rtt + profile.jitter) * 1000:.0f} ms" if profile.jitter else f"{low} ms"


def _rate(bits: float) -> str:
    return format_rate(bits) if math.isfinite(bits) else "not limited"


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


def _verdict(report: VerifyReport) -> str:
    if report.findings_total:
        return f"damaged: {plural(report.findings_total, 'finding')}"
    if report.shards_left:
        return f"sound, but not finished: {plural(report.shards_left, 'shard')} left"
    if report.shards_failed or report.damaged_objects:
        return (
            f"sound, with {plural(report.shards_failed, 'failed shard')} and"
            f" {plural(report.damaged_objects, 'damaged object')}"
        )
    return "sound and complete: every planned byte and every record is accounted for"


def _after(seen: Survey, target: str) -> list[str]:
    job = shlex.quote(target)
    if seen.unfit_total:
        return [f"skyhaul replay --damaged {job}", *([f"skyhaul run {job}"] if seen.shards_to_haul else [])]
    if seen.shards_left:
        return [f"skyhaul run {job}"]
    if seen.shards_failed:
        return [f"skyhaul failures {job}", f"skyhaul replay {job}"]
    return [f"skyhaul verify {job}"]
