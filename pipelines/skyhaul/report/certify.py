"""`skyhaul certify`: what each check found, and the verdict."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.certify.certificate import Certificate
from skyhaul.report.table import columns, plural


@dataclass(frozen=True, slots=True)
class CertifyReport:
    """A certificate, or why there is none."""

    certificate: Certificate
    target: str
    """What the user typed for the job."""

    def lines(self) -> Iterator[str]:
        """A line for each check, then the verdict."""
        certificate = self.certificate
        rows = [(check.name, check.result, check.detail) for check in certificate.checks]
        yield from columns(("check", "result", "what was found"), rows)
        yield _verdict(certificate)
        if certificate.shards_left and not certificate.missed:
            yield f"next: skyhaul run {shlex.quote(self.target)}"
        elif certificate.certified:
            yield "  written to _skyhaul/certificate.json"

    def to_json(self) -> dict[str, Any]:
        return self.certificate.to_json()


def _verdict(certificate: Certificate) -> str:
    if certificate.missed:
        return f"not certified: {plural(certificate.missed, 'check')} missed"
    if certificate.shards_left:
        return f"not certified: the dataset is not finished, {plural(certificate.shards_left, 'shard')} left"
    agreed = f"{plural(len(certificate.engines), 'engine')} agree on {plural(certificate.rows, 'row')}"
    # Certified all the same: what could not be hauled is accounted for, and the exit code is 3.
    failed = certificate.shards_failed or certificate.damaged_objects
    without = (
        f", without {plural(certificate.shards_failed, 'failed shard')} and the rest of"
        f" {plural(certificate.damaged_objects, 'damaged object')}"
    )
    return f"certified: {agreed}{without if failed else ''}"
