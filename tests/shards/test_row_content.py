"""The content of rows: one digest for equal rows, another one for any that differ."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from skyhaul.shards.row_content import CONTENT_VERSION, RowContent
from skyhaul_schemas.records import BODIES, PROVENANCE, shard_schema

ORIGIN = {"source": "s", "object": "a/ä.txt", "version": 'etag:"x"', "offset": 5, "length": 7}


def rows(schema: str, count: int) -> pa.RecordBatch:
    made: list[dict[str, Any]] = []
    for number in range(count):
        row: dict[str, Any] = {"id": f"s/a/ä.txt#{number}", "provenance": {**ORIGIN, "offset": number}}
        for field in BODIES[schema]:
            row[field.name] = None if field.nullable and number % 2 else _value(field, number)
        made.append(row)
    return pa.RecordBatch.from_pylist(made, schema=shard_schema(schema))


def _value(field: pa.Field, number: int) -> Any:
    if pa.types.is_timestamp(field.type):
        return datetime(2026, 1, 1, tzinfo=UTC)
    if pa.types.is_floating(field.type):
        return number / 3
    if pa.types.is_integer(field.type):
        return -number
    return f"{number}:\n-" if "string" in str(field.type) else bytes([number % 256, 0])


def content(*batches: pa.RecordBatch) -> tuple[str, int]:
    made = RowContent()
    made.begin("train")
    for batch in batches:
        made.add(batch)
    return made.sha256, made.length


@pytest.mark.parametrize("schema", sorted(BODIES))
def test_batches_make_no_difference(schema: str) -> None:
    whole = rows(schema, 30)
    assert content(whole) == content(*(whole.slice(start, 7) for start in range(0, 30, 7)))
    assert content(whole.slice(3, 10)) == content(
        pa.RecordBatch.from_pylist(whole.slice(3, 10).to_pylist(), schema=whole.schema)
    )


@pytest.mark.parametrize("schema", sorted(BODIES))
def test_any_value_makes_a_difference(schema: str) -> None:
    made = rows(schema, 2).to_pylist()
    seen = {content(rows(schema, 2))}
    for name in [field.name for field in shard_schema(schema)]:
        changed = [dict(made[0]), made[1]]
        if name == "provenance":
            for inner in PROVENANCE:
                value = made[0][name][inner.name]
                other = {**made[0][name], inner.name: value + ("x" if isinstance(value, str) else 1)}
                changed[0] = {**made[0], name: other}
                seen.add(content(pa.RecordBatch.from_pylist(changed, schema=shard_schema(schema))))
        else:
            value = made[0][name]
            changed[0][name] = _other(value)
            seen.add(content(pa.RecordBatch.from_pylist(changed, schema=shard_schema(schema))))
    assert len(seen) == 1 + len(shard_schema(schema)) - 1 + len(PROVENANCE)


def _other(value: Any) -> Any:
    match value:
        case str():
            return value + "x"
        case bytes():
            return value + b"x"
        case datetime():
            return value.replace(microsecond=1)
        case float():
            return math.nextafter(value, 9)
    return value + 1


def test_a_null_is_not_an_empty_text_and_borders_between_values_count() -> None:
    def one(a: str | None, b: str | None) -> tuple[str, int]:
        return content(pa.record_batch({"a": pa.array([a], pa.string()), "b": pa.array([b], pa.string())}))

    found = [one(None, None), one("", None), one(None, ""), one("ab", "c"), one("a", "bc"), one("-:", "")]
    assert len(set(found)) == len(found)


def test_splits_and_order_count() -> None:
    a, b = rows("document", 2).slice(0, 1), rows("document", 2).slice(1, 1)
    assert content(a, b) != content(b, a)
    other = RowContent()
    other.begin("train")
    other.add(a)
    other.begin("validation")
    other.add(b)
    assert (other.sha256, other.length) != content(a, b)


def test_the_digest_of_these_rows_stands() -> None:
    # Whatever changes it raises CONTENT_VERSION: plans of derived datasets rest on it.
    assert CONTENT_VERSION == 1
    assert content(rows("reading", 5))[0][:16] == "04a584b531f64e8f"


def test_lists_and_structs_that_differ_have_other_bytes() -> None:
    kind = pa.list_(pa.struct([("a", pa.string()), ("b", pa.list_(pa.bool_()))]))
    values = [
        None, [], [None], [None, None], [{"a": None, "b": None}], [{"a": "", "b": None}],
        [{"a": None, "b": []}],
        [{"a": None, "b": [None]}], [{"a": None, "b": [True]}], [{"a": None, "b": [False]}],
        [{"a": "1", "b": None}], [{"a": "1", "b": None}, None],
    ]  # fmt: skip

    def digest(batch: pa.RecordBatch, *borders: int) -> str:
        content = RowContent()
        for start, stop in pairwise([0, *borders, batch.num_rows]):
            content.add(batch.slice(start, stop - start))
        return content.sha256

    def of(*given: object) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.array(given, kind)], names=["x"])

    assert len({digest(of(value)) for value in values}) == len(values)
    assert len({digest(of(a, b)) for a in values for b in values}) == len(values) ** 2
    assert digest(of(*values)) == digest(of(*values), 1, 2, 5, 9)
