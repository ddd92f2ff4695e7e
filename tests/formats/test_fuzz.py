"""Every registered format, fed with mutated objects of its own: rows and rejects, or a typed error, no more.

A format without a seed here fails the first test. CI runs the long share (`-m slow`); a find is printed by
Hypothesis as a blob that replays it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from formats.seeds import OPTIONS, SEEDS, WRAPPED
from skyhaul_connectors.formats.registry import FORMATS
from skyhaul_schemas.errors import DecodeError, DriftError, SkyhaulError
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.records import RecordSchema

ALONE = {"parquet", "arrow"}
"""Read by their own places, so that no stream is unpacked around them."""


def test_every_registered_format_has_a_seed_that_decodes() -> None:
    assert set(SEEDS) == set(FORMATS)
    for name, raws in SEEDS.items():
        for kind in FORMATS[name].schemas:
            schema = OWN if kind == "own" else kind
            fields = {"text": "text"} if schema == "document" and name in ("csv", "tsv") else {}
            found = decode(raws[0], f"x{FORMATS[name].suffixes[:1]}", name, schema, fields=fields)
            assert found.rows or found.rejects, (name, schema)
            assert found.rows or kind in ("reading", "own"), (name, kind)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> tuple[bytes, str]:
    """An object of format `name`, damaged, maybe compressed before or after that, and its path."""
    seeds = SEEDS[name]
    raw = draw(st.sampled_from(seeds))
    suffix = "" if name in ALONE else draw(st.sampled_from(sorted(WRAPPED)))
    inside = draw(st.booleans())
    if not inside:
        raw = WRAPPED[suffix](raw)
    data = bytearray(raw)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.sampled_from(["flip", "cut", "insert", "number", "repeat", "splice"])):
            case "flip" if data:
                data[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del data[at : at + draw(st.integers(1, 64))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=12))
            case "number":
                size = draw(st.sampled_from([1, 2, 4, 8]))
                value = draw(st.sampled_from([0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), 10**6]))
                order = draw(st.sampled_from(["little", "big"]))
                data[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, order)  # type: ignore[arg-type]  # a str
            case "repeat":
                data[at:at] = data[at : at + 40] * draw(st.integers(1, 4))
            case "splice":
                other = draw(st.sampled_from(seeds))
                data[at:] = other[draw(st.integers(0, len(other))) :]
    if draw(st.integers(0, 3)) == 0:
        del data[draw(st.integers(0, len(data))) :]
    raw = WRAPPED[suffix](bytes(data)) if inside else bytes(data)
    return raw, f"x{(FORMATS[name].suffixes or ('',))[0]}{suffix}"


OWN = OwnSchema.of(
    "own",
    {
        "text": "string", "body": "large_string", "id": "int16", "value": "float32", "time": "timestamp[ms]",
        "created": "timestamp[us, UTC]", "tags": "list<string>", "image": "struct<path: string>",
        "took": "list<struct<for: int64>>", "bytes": "binary", "d": "string", "price": "float64",
        "offset": "int64",
    },
)  # fmt: skip
"""Columns of what seeds hold, some of another type than theirs."""


def _check(name: str, data: st.DataObject) -> None:
    raw, path = data.draw(mutated(name))
    kind = data.draw(st.sampled_from(FORMATS[name].schemas))
    schema = OWN if kind == "own" else kind
    known = [
        given
        for given in OPTIONS.get(name, [{}])
        if (schema == "reading" or "melt" not in given)
        and (schema == "image" or "bytes" not in given.get("fields", {}))
        and (schema != OWN or given.get("fields", {}).keys() <= {field.name for field in OWN.columns})
    ]
    options = data.draw(st.sampled_from(known))
    policy = data.draw(st.sampled_from(["reject", "null"]))
    batch_bytes = data.draw(st.sampled_from([1, 100, 8 * 1024 * 1024]))
    found = decode(raw, path, name, schema, batch_bytes=batch_bytes, on_drift=policy, **options)
    places = [row.get("@offset", row["offset"]) for row in found.rows]
    assert all(place >= 0 for place in places)
    if schema != "reading" or "melt" in options:
        assert len(set(places)) == len(places)
    again = decode(raw, path, name, schema, on_drift=policy, **options)
    assert (again.rows, again.rejects, again.damaged) == (found.rows, found.rejects, found.damaged)
    error = _strict(raw, path, name, schema, options)
    assert (error is None) == (not found.rejects and not found.nulled)
    if error is not None:
        assert isinstance(error, DecodeError | DriftError), error
    assert all(reason.isprintable() for reason in (*found.reasons, str(error)))


def _strict(
    raw: bytes, path: str, name: str, schema: RecordSchema, options: dict[str, Any]
) -> SkyhaulError | None:
    """The error of a decoding that puts up with nothing."""
    try:
        decode(raw, path, name, schema, on_damage="fail", on_drift="fail", **options)
    except SkyhaulError as error:
        return error
    return None


@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=25)
@given(data=st.data())
def test_any_damage_is_rows_and_rejects_whatever_the_batches(name: str, data: st.DataObject) -> None:
    _check(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FORMATS))
@settings(max_examples=400)
@given(data=st.data())
def test_much_damage_is_rows_and_rejects_whatever_the_batches(name: str, data: st.DataObject) -> None:
    _check(name, data)
