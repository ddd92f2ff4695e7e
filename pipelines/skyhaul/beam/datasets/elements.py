"""Rows of a dataset as Beam's rows and Arrow's batches, and back.

What is given out is flat, because Beam's SQL and YAML take flat rows best: the columns of the dataset's
schema without `provenance`, whose fields come beside them where they are asked for, together with the place
that a row was read from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, get_args

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.typehints.row_type import RowTypeConstraint
from apache_beam.utils.timestamp import Timestamp

from skyhaul.rows.committed_rows import Stretch
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import PROVENANCE, shard_schema

ORIGIN = tuple(field.name for field in PROVENANCE)
"""Where a row comes from: the fields of its provenance."""

PLACES = {
    "dataset": pa.field("dataset", pa.string(), nullable=False),
    "shard": pa.field("shard", pa.int64(), nullable=False),
    "split": pa.field("split", pa.string(), nullable=False),
}
"""Where a row was read."""

Provenance = bool | Sequence[str]
"""True: all of ORIGIN and PLACES; else the names of those that are wanted."""


def given_schema(schema: pa.Schema, columns: Sequence[str] | None, provenance: Provenance) -> pa.Schema:
    """The columns that are given out of rows of `schema`. Raises UsageError."""
    own = [name for name in schema.names if name != "provenance"]
    wanted = own if columns is None else list(columns)
    unknown = [name for name in wanted if name not in own]
    if unknown:
        raise UsageError(f"columns: no {printable(unknown[0])!r} in the dataset; it has {', '.join(own)}")
    return pa.schema(
        [
            *(schema.field(name) for name in wanted),
            *(PROVENANCE.field(name) for name in _chosen(provenance) if name in ORIGIN),
            *(PLACES[name] for name in _chosen(provenance) if name in PLACES),
        ]
    )


def _chosen(provenance: Provenance) -> list[str]:
    every = [*ORIGIN, *PLACES]
    if isinstance(provenance, bool):
        return every if provenance else []
    unknown = [name for name in provenance if name not in every]
    if unknown:
        raise UsageError(f"provenance: no {printable(unknown[0])!r}; it is some of {', '.join(every)}")
    return [name for name in every if name in provenance]


def read_columns(given: pa.Schema) -> list[str]:
    """The columns that have to be read for those that are given out."""
    wanted = [name for name in given.names if name not in ORIGIN and name not in PLACES]
    return [*wanted, *(["provenance"] if any(name in ORIGIN for name in given.names) else [])]


def given_batch(stretch: Stretch, dataset: str, given: pa.Schema) -> pa.RecordBatch:
    """A stretch of rows as it is given out.

    Args:
        stretch: With the columns that `read_columns` names.
        dataset: As it may be shown.
        given: See `given_schema`."""
    rows = stretch.batch
    places = {"dataset": dataset, "shard": stretch.shard, "split": stretch.split}
    arrays = []
    for field in given:
        if field.name in PLACES:
            arrays.append(pa.repeat(pa.scalar(places[field.name], field.type), rows.num_rows))
        elif field.name in ORIGIN:
            arrays.append(rows.column("provenance").field(field.name))
        else:
            arrays.append(rows.column(field.name))
    return pa.RecordBatch.from_arrays(arrays, schema=given)


def row_type(given: pa.Schema) -> RowTypeConstraint:
    """Beam's schema of the rows."""
    return RowTypeConstraint.from_fields([(field.name, _python_type(field)) for field in given])


def arrow_types(element: Any) -> dict[str, pa.DataType]:
    """The Arrow types of the columns that Beam's schema of rows tells."""
    found = {}
    for name, kind in getattr(element, "_fields", ()):
        plain = next((inner for inner in get_args(kind) if inner is not type(None)), kind)
        if plain in _ARROW:
            found[name] = _ARROW[plain]
    return found


_ARROW = {
    str: pa.large_string(),
    bytes: pa.large_binary(),
    float: pa.float64(),
    int: pa.int64(),
    Timestamp: pa.timestamp("us", tz="UTC"),
}


def rows_of(batch: pa.RecordBatch) -> Iterator[beam.Row]:
    """A row for each of a batch that is given out."""
    names = batch.schema.names
    for values in zip(*(_values(column) for column in batch.columns), strict=True):
        yield beam.Row(**dict(zip(names, values, strict=True)))


def _python_type(field: pa.Field) -> Any:
    kind: Any = _PYTHON.get(str(field.type)) or (Timestamp if pa.types.is_timestamp(field.type) else None)
    if kind is None:
        raise UsageError(
            f"column {field.name!r} is of type {field.type}, which no row of Beam's has; read `batches=True`,"
            " or name the columns that are read"
        )
    return Optional[kind] if field.nullable else kind  # noqa: UP045  # Beam reads this form alone


_PYTHON = {
    "string": str,
    "large_string": str,
    "binary": bytes,
    "large_binary": bytes,
    "double": float,
    "int32": int,
    "int64": int,
}


def _values(column: pa.Array) -> list[Any]:
    if not pa.types.is_timestamp(column.type):
        return column.to_pylist()  # type: ignore[no-any-return]
    micros = column.view(pa.int64()).to_pylist()
    return [None if value is None else Timestamp(micros=value) for value in micros]


def mapping_of(row: Any) -> Mapping[str, Any]:
    """A Beam row, named tuple or mapping by its columns. Raises UsageError."""
    if isinstance(row, Mapping):
        return row
    for method in ("as_dict", "_asdict"):
        as_dict = getattr(row, method, None)
        if as_dict is not None:
            return dict(as_dict())
    raise UsageError(f"{type(row).__name__} is no row: give Beam rows, named tuples, mappings or batches")


def shard_batches(rows: Iterable[Mapping[str, Any]], schema: str) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(split, rows of the record schema) of rows as they are given out.

    Raises:
        UsageError: A column is missing, is one too many, or has another type."""
    by_split: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_split.setdefault(str(row.get("split", "train")), []).append(row)
    for split in sorted(by_split):
        yield split, _shard_batch(by_split[split], shard_schema(schema))


def shard_batch(batch: pa.RecordBatch, schema: str) -> Iterator[tuple[str, pa.RecordBatch]]:
    """`shard_batches` of a record batch."""
    if not batch.num_rows:
        return
    names = frozenset(batch.schema.names)
    _check_columns(names, shard_schema(schema))

    def column(field: pa.Field) -> pa.Array:
        if field.name not in names:
            return pa.nulls(batch.num_rows, field.type)
        return _checked(lambda: batch.column(field.name).cast(field.type), field)

    rows = _assembled(column, names, shard_schema(schema))
    splits = batch.column("split") if "split" in names else pa.repeat("train", batch.num_rows)
    for split in sorted(pc.unique(splits).to_pylist()):
        yield split, rows.filter(pc.equal(splits, split))


def _shard_batch(rows: list[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    _check_columns(rows[0].keys(), schema)

    def column(field: pa.Field) -> pa.Array:
        values = [_arrow_value(row.get(field.name)) for row in rows]
        return _checked(lambda: pa.array(values, field.type), field)

    return _assembled(column, rows[0].keys(), schema)


def _assembled(
    column: Callable[[pa.Field], pa.Array], names: Collection[str], schema: pa.Schema
) -> pa.RecordBatch:
    """Flat columns as rows of a record schema."""
    origin = {field.name: column(field) for field in PROVENANCE}
    offsets = origin["offset"].cast(pa.string())
    ids = pc.binary_join_element_wise(origin["source"], "/", origin["object"], "#", offsets, "")
    arrays = []
    for field in schema:
        if field.name == "provenance":
            arrays.append(pa.StructArray.from_arrays([*origin.values()], fields=list(PROVENANCE)))
        elif field.name == "id":
            # The id is made of the provenance wherever there are rows, and `verify` holds it to that.
            if "id" in names and not pc.all(pc.equal(column(field), ids)).as_py():
                raise UsageError(
                    "column 'id': an id is not `source/object#offset` of its row; pass id and provenance on"
                    " as they were read, or leave the id out"
                )
            arrays.append(ids)
        else:
            arrays.append(column(field))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _check_columns(names: Collection[str], schema: pa.Schema) -> None:
    own = [name for name in schema.names if name != "provenance"]
    needed = [
        name
        for name in (*own, *ORIGIN)
        if name not in names and name != "id" and (name in ORIGIN or not schema.field(name).nullable)
    ]
    if needed:
        raise UsageError(
            f"rows have no column {needed[0]!r}; a dataset's rows keep their provenance: read them with"
            " `ReadShards(provenance=True)`, and pass these columns on"
        )
    more = [name for name in names if name not in (*own, *ORIGIN, *PLACES)]
    if more:
        raise UsageError(
            f"rows have a column {printable(str(min(more)))!r}, and the dataset's schema has none; it has"
            f" {', '.join(own)}: leave it out, or keep it in `metadata`"
        )


def _checked(make: Callable[[], pa.Array], field: pa.Field) -> pa.Array:
    try:
        array = make()
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        why = printable(str(error).partition("\n")[0])
        raise UsageError(f"column {field.name!r}: a value is no {field.type}: {why}") from None
    if not field.nullable and array.null_count:
        raise UsageError(f"column {field.name!r}: a value is missing, and the dataset's schema requires one")
    return array


def _arrow_value(value: Any) -> Any:
    return value.micros if isinstance(value, Timestamp) else value
