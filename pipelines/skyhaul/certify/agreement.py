"""One engine's reading against the commit records and the first engine's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from skyhaul.certify.engine_reading import Reading, Schema, widened
from skyhaul_schemas.commit import SplitSums


def disagreement(
    reading: Reading,
    committed: Mapping[str, SplitSums],
    first: Reading,
    schema: Schema,
) -> str | None:
    """The first thing in which `reading` differs, or None."""
    return next(_differences(reading, committed, first, schema), None)


def _differences(
    reading: Reading,
    committed: Mapping[str, SplitSums],
    first: Reading,
    schema: Schema,
) -> Iterator[str]:
    # Not strict: a column too many or too few is told below, as such.
    for (name, kind), (seen, seen_kind) in zip(schema, reading.schema, strict=False):
        if (name, widened(kind)) != (seen, widened(seen_kind)):
            yield f"column {seen} is {seen_kind}, where {name} of {kind} is due"
    if len(schema) != len(reading.schema):
        yield f"it has {len(reading.schema)} columns, not {len(schema)}"
    for split, counted in committed.items():
        # Rows have our own count to be held against. Bytes of a column and nulls are in no record: there the
        # engines must agree with the first, which is pyarrow.
        found, other = reading.splits[split], first.splits[split]
        if found.rows != counted.rows:
            yield f"split {split} has {found.rows:,} rows, its commit records say {counted.rows:,}"
        for what, ours, theirs in (
            ("bytes of ids", found.id_bytes, other.id_bytes),
            ("bytes of the body", found.body_bytes, other.body_bytes),
            ("source bytes in provenance", found.source_bytes, other.source_bytes),
            *((f"nulls in {name}", count, other.nulls[name]) for name, count in found.nulls.items()),
        ):
            if ours != theirs:
                yield f"split {split} has {ours:,} {what}, pyarrow found {theirs:,}"
        if found.unique_ids is not None and found.unique_ids != found.rows:
            yield f"split {split} has {found.unique_ids:,} distinct ids in {found.rows:,} rows"
