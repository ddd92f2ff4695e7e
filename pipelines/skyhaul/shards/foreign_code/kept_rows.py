"""What other people's code gives back of a batch of rows, held to what no code may change.

The columns are those of the dataset, and each row is one that came in: its id and its provenance say so, and
`verify` holds every row to them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_schemas.printable import brief


def fault_of(given: pa.RecordBatch, found: object) -> str | None:
    """What code did to the batch `given` that it must not, in words; None: `found` will do."""
    if not isinstance(found, pa.RecordBatch):
        return f"it gave a {type(found).__name__}, not a RecordBatch"
    if not found.schema.equals(given.schema):
        return f"it changed the columns: {_difference(given.schema, found.schema)}"
    try:
        # Arrow takes over what code of others says of offsets and text without looking.
        found.validate(full=True)
    except pa.ArrowInvalid as error:
        return f"it gave a batch that is none: {error}"
    for field in given.schema:
        if not field.nullable and found.column(field.name).null_count:
            return f"it gave nulls in the column {field.name}, which has none"
    return _other_rows(given, found)


def _difference(given: pa.Schema, found: pa.Schema) -> str:
    if given.names != found.names:
        return f"{', '.join(found.names) or 'none'} in the place of {', '.join(given.names)}"
    changed = next(field for field in found if not field.equals(given.field(field.name)))
    return f"{_told(changed)} in the place of {_told(given.field(changed.name))}"


def _told(field: pa.Field) -> str:
    return brief(f"{field.name} of {field.type}{'' if field.nullable else ', never null'}")


def _other_rows(given: pa.RecordBatch, found: pa.RecordBatch) -> str | None:
    """Whether `found` has rows that are none of `given`, in its order, by their ids and provenance."""
    if found.num_rows > given.num_rows:
        return f"it added rows: {given.num_rows} in, {found.num_rows} out"
    if found.num_rows == given.num_rows and found.column("id").equals(given.column("id")):
        return _moved(given.column("provenance"), found)
    places = pc.index_in(found.column("id"), value_set=given.column("id"))
    if places.null_count:
        return "it changed ids, or made up rows"
    order = places.to_numpy()
    if (np.diff(order) <= 0).any():
        return "it gave rows twice, or in another order"
    return _moved(given.column("provenance").take(places), found)


def _moved(provenance: pa.Array, found: pa.RecordBatch) -> str | None:
    return None if found.column("provenance").equals(provenance) else "it changed the column provenance"
