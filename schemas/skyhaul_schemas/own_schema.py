"""A record schema that a job declares: the columns of its own between `id` and `provenance`.

Its columns are read strictly: nothing is cast that would change what a value says (see
`skyhaul_connectors.formats.records.casts`). What no column takes goes to `metadata`, or where `rest` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from skyhaul_schemas.arrow_types import parse_type, type_name

Rest = Literal["metadata", "drop", "reject"]

TAKEN = ("id", "provenance", "metadata")
"""Columns that every dataset has, or may have, beside those of its schema."""


@dataclass(frozen=True, slots=True)
class OwnSchema:
    """A record schema of a job.

    Attributes:
        name: What messages and the dataset's card call it.
        columns: In their order; a column that is not nullable is required.
        rest: What becomes of a record's values that no column takes: they are kept as `metadata`, dropped, or
            the record is rejected.
    """

    name: str
    columns: tuple[pa.Field, ...]
    rest: Rest = "metadata"

    @classmethod
    def of(
        cls, name: str, columns: Mapping[str, str], required: Sequence[str] = (), rest: Rest = "metadata"
    ) -> OwnSchema:
        """The schema whose columns have types of these names. Raises BadType."""
        fields = (
            pa.field(column, parse_type(kind), nullable=column not in required)
            for column, kind in columns.items()
        )
        return cls(name, tuple(fields), rest)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> OwnSchema:
        """The schema as a plan's header states it. Raises BadType, KeyError."""
        columns = {name: value["columns"][name] for name in value["order"]}
        return cls.of(value["name"], columns, value["required"], value["rest"])

    def to_json(self) -> dict[str, Any]:
        """As a plan's digest covers it: its mappings are sorted there, and so the order stands apart."""
        return {
            "name": self.name,
            "columns": {field.name: type_name(field.type) for field in self.columns},
            "order": [field.name for field in self.columns],
            "required": [field.name for field in self.columns if not field.nullable],
            "rest": self.rest,
        }

    def as_job(self) -> dict[str, Any]:
        """As a job file writes it: its columns stand in their order there."""
        said = self.to_json()
        return {key: said[key] for key in ("name", "columns", "required", "rest")}

    @property
    def body(self) -> tuple[pa.Field, ...]:
        """Columns between `id` and `provenance`."""
        return (*self.columns, pa.field("metadata", pa.string())) if self.rest == "metadata" else self.columns

    def __str__(self) -> str:
        return self.name
