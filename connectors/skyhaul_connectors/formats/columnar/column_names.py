"""What the columns of a table are called where several have one name (see `same_names`)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from skyhaul_connectors.formats.records.same_names import (
    batch_told_apart,
    has_repeated,
    repeated_inside,
    told_apart,
)


class ColumnNames:
    """What the columns of one table are called.

    Attributes:
        repeat: Whether some name, also of a struct's field, is there twice.

    Raises:
        ValueError: The job takes what such a name alone does not tell."""

    def __init__(self, schema: pa.Schema, task: dict[str, Any]) -> None:
        self.repeat = has_repeated(schema)
        self._apart: dict[str, list[str]] = {}
        if not self.repeat:
            return
        for name, own in zip(schema.names, told_apart(schema.names), strict=True):
            self._apart.setdefault(name, []).append(own)
        columns = task["columns"]
        parts = {column.partition(".")[0] for column in columns or () if column not in self._apart}
        inside = next((name for name in parts if len(self._apart.get(name, ())) > 1), None)
        if inside is not None:
            raise ValueError(f"columns: {inside!r} is there twice; name all of it, not what is inside")
        read = [field for field in schema if columns is None or field.name in {*columns, *parts}]
        twice = repeated_inside(read, task["mapped"])
        if twice is not None:
            raise ValueError(
                f"{twice!r} is there twice, and a field of the schema takes it; take the second as"
                f" {f'{twice}_1'!r}, or another column"
            )

    def told_apart(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A valid batch of some of the table's columns, under their own names."""
        if not self.repeat:
            return batch
        seen: Counter[str] = Counter()
        found = []
        for name in batch.schema.names:
            # All columns of a name are read or none, and in the table's order, so that the k-th is the k-th.
            found.append(self._apart[name][seen[name]])
            seen[name] += 1
        return batch_told_apart(batch, found)
