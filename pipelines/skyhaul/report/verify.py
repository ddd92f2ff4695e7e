"""`skyhaul verify`: a line a finding, then the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.report.table import plural
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas.units import format_size


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What a verification proved, and what it found."""

    result: VerifyReport

    def lines(self) -> Iterator[str]:
        result = self.result
        yield from map(str, result.findings)
        # The first ones are kept, all are counted: a rotten disk may give millions.
        kept = len(result.findings)
        if result.findings_total > kept:
            yield f"and {result.findings_total - kept:,} findings more"
        yield from map(str, result.undelivered)
        if result.without_digest:
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(result.without_digest.items()))
            yield f"without a digest of their own, so that rot in them shows only elsewhere: {kinds}"
        yield _verdict(result)
        nulled = f" {plural(result.nulled, 'field')} made null," if result.nulled else ""
        truncated = f" {plural(result.truncated, 'truncated image')}," if result.truncated else ""
        depth = "every page read" if result.pages_read else "pages not read; --deep does"
        yield (
            f"  {plural(result.files, 'file')}, {format_size(result.bytes)}, {plural(result.rows, 'row')},"
            f" {plural(result.rejects, 'reject')}, {result.passed_over:,} passed over,{nulled}{truncated}"
            f" {result.shards_committed:,} of {plural(result.shards, 'shard')}; {depth}"
        )

    def to_json(self) -> dict[str, Any]:
        return self.result.to_json()


def _verdict(result: VerifyReport) -> str:
    if result.findings_total:
        return f"damaged: {plural(result.findings_total, 'finding')}"
    if result.shards_left:
        return f"sound, but not finished: {plural(result.shards_left, 'shard')} left"
    if result.shards_failed or result.damaged_objects:
        return (
            f"sound, with {plural(result.shards_failed, 'failed shard')} and"
            f" {plural(result.damaged_objects, 'damaged object')}"
        )
    return "sound and complete: every planned byte and every record is accounted for"
