"""A certificate in lines for people."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from skyhaul.certify.certificate import Certificate
from skyhaul.report.table import columns, plural


def lines(certificate: Certificate, target: str) -> Iterator[str]:
    """A line for each check, then the verdict."""
    rows = [(check.name, check.result, check.detail) for check in certificate.checks]
    yield from columns(("check", "result", "what was found"), rows)
    yield verdict(certificate)
    if certificate.shards_left and not certificate.missed:
        yield f"next: skyhaul run {shlex.quote(target)}"
    elif certificate.certified:
        yield "  written to _skyhaul/certificate.json"


def verdict(certificate: Certificate) -> str:
    if certificate.missed:
        return f"not certified: {plural(certificate.missed, 'check')} missed"
    if certificate.shards_left:
        return f"not certified: the dataset is not finished, {plural(certificate.shards_left, 'shard')} left"
    agreed = f"{plural(len(certificate.engines), 'engine')} agree on {plural(certificate.rows, 'row')}"
    failed = certificate.shards_failed or certificate.damaged_objects
    without = (
        f", without {plural(certificate.shards_failed, 'failed shard')} and the rest of"
        f" {plural(certificate.damaged_objects, 'damaged object')}"
    )
    return f"certified: {agreed}{without if failed else ''}"
