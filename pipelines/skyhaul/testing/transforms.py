"""For tests of a transform: a rule as a job has it, and rows for it to work on.

    ungap = build({"ungap": {"marks": "-"}})
    result = ungap(rows(text=["A-C"]))

The package that declares the transform has to be installed (`pip install -e .`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from skyhaul.shards.transform_step import Transform
from skyhaul.transforms.registry import build_transforms
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.transforms import parse_transform
from skyhaul_schemas.records import RecordSchema, shard_schema

__all__ = ["build", "rows"]

_PLACE = {"source": "source", "object": "object", "version": "", "offset": 0, "length": 1}


def build(rule: Mapping[str, object], schema: RecordSchema = "document") -> Transform:
    """The transform that a job's rule asks for, anew, as each shard gets it.

    Args:
        rule: As in a job file: `{"ungap": {"marks": "-"}, "name": "gaps"}`.
        schema: The dataset's record schema.

    Raises:
        UsageError: What a haul would refuse.
    """
    try:
        spec = parse_transform(dict(rule))
    except ValueError as error:  # pydantic's too
        raise UsageError(f"rule {rule!r}: {error}") from error
    (built,) = build_transforms([spec], schema)
    return built


def rows(schema: RecordSchema = "document", **columns: Sequence[object]) -> pa.RecordBatch:
    """Rows of a shard: `columns` as given, ids and provenance made up, all others null.

    Args:
        schema: The record schema's name.
        columns: Name -> a value for each row.

    Raises:
        ValueError: No column, columns of several lengths, or one that the schema does not have.
    """
    lengths = {len(values) for values in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"columns of one length are wanted, not of {sorted(lengths) or 'none'}")
    (length,) = lengths
    # A shard's columns and not a decoder's: transforms stand behind ids and provenance.
    fields = shard_schema(schema)
    if unknown := columns.keys() - set(fields.names):
        raise ValueError(f"schema {schema} has no column {', '.join(sorted(unknown))}")
    made: dict[str, Sequence[object]] = {
        "id": [f"source/object#{row}" for row in range(length)],
        "provenance": [_PLACE] * length,
        **columns,
    }
    arrays = [pa.array(made.get(field.name, [None] * length), field.type) for field in fields]
    return pa.RecordBatch.from_arrays(arrays, schema=fields)
