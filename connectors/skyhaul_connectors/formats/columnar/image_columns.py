"""Images in the columns of a table: found, measured and checked as image files are.

The bytes are a column of their own, or lie in a struct beside the image's path, as Hugging Face's datasets
keep them (https://huggingface.co/docs/datasets/about_dataset_features): `bytes: /image/bytes`, or `bytes:
image`, or nothing at all where the table has one such struct and no column `bytes`. What else is in the
struct stays in `metadata`; the bytes do not.

Type and size are what the bytes say. What a column states otherwise goes to `metadata`, and stands where the
bytes say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_connectors.formats.media.image_facts import ImageRules, NoImage, image_facts
from skyhaul_connectors.formats.records.fields import FieldMap, parts_of
from skyhaul_connectors.formats.records.json_exact import canonical, loads
from skyhaul_connectors.formats.records.same_names import Place
from skyhaul_schemas.printable import printable

_BYTES, _PATH = "bytes", "path"
"""The field of the schema, and the names of both in Hugging Face's structs."""

_MEASURED = ("format", "width", "height")
"""Fields that the bytes say."""


class TableImages:
    """The images of one object's tables, found by its fields."""

    def __init__(self, fields: FieldMap, rules: ImageRules) -> None:
        self._fields = fields
        self._rules = rules

    def column(self, table: Mapping[str, pa.Array]) -> str:
        """Where the bytes are: a column's name, or a JSON Pointer into a struct."""
        column = self._fields.columns[_BYTES]
        if column.startswith("/"):
            return column
        if column in table:
            return f"{_pointer(column)}/{_BYTES}" if _holds(table[column], (_BYTES,)) else column
        if column == _BYTES:
            found = [name for name, values in table.items() if _holds(values, (_BYTES, _PATH))]
            # Of two such structs neither is meant without a word of the job.
            if len(found) == 1:
                return f"{_pointer(found[0])}/{_BYTES}"
        return column

    def rest(self, table: Mapping[str, pa.Array], column: str) -> dict[str, pa.Array]:
        """The columns for the metadata: of the struct that holds the bytes, what is beside them."""
        rest = {name: values for name, values in table.items() if name not in self._fields.taken}
        first, *inner = parts_of(column)
        if inner and first in table:
            rest.pop(first, None)
            left = _without(table[first], inner)
            if left is not None:
                rest[first] = left
        return rest

    def _paths(self, table: Mapping[str, pa.Array], column: str) -> list[str | None]:
        """The images' paths, row by row: the field `path` beside the bytes; empty where there is none."""
        first, *inner = parts_of(column)
        values = table.get(first) if inner else None
        for name in [*inner[:-1], _PATH]:
            if values is None or not _holds(values, (name,)):
                return []
            values = pc.struct_field(values, name)
        found = values.to_pylist() if values is not None else []
        return [path if isinstance(path, str) else None for path in found]

    def _explain(self, reasons: dict[int, str], paths: Sequence[str | None]) -> None:
        """Adds to the reasons of rows without bytes, but with a path, that the image is elsewhere."""
        # By the wording of `TableColumns._field`, for a column that is null.
        for row, reason in reasons.items():
            if (
                paths
                and paths[row] is not None
                and reason.startswith(f"{_BYTES}: ")
                and reason.endswith("null")
            ):
                path = printable(repr(paths[row]), 200)
                reasons[row] = f"{reason}: the image is not in the table, only its path {path}"

    def measured(
        self,
        found: dict[str, pa.Array],
        metadata: pa.Array,
        table: Mapping[str, pa.Array],
        column: str,
        reasons: dict[int, str],
    ) -> tuple[pa.Array, dict[int, str]]:
        """Puts type and size into `found`, by the bytes of each row that nothing speaks against.

        Args:
            found: The fields' columns; `bytes` among them.
            metadata: Of each row; gets what else the bytes say.
            table: The table's columns, for the images' paths.
            column: Where the bytes are.
            reasons: Rows that are rejected already, with reasons that are told better here where they can be.

        Returns:
            The metadata, and the rows whose bytes are no image, with what they are."""
        paths = self._paths(table, column)
        self._explain(reasons, paths)
        columns = {name: found[name].to_pylist() for name in _MEASURED}
        texts = metadata.to_pylist()
        broken: dict[int, str] = {}
        for row, raw in enumerate(found[_BYTES]):
            if row in reasons:
                continue
            try:
                facts = image_facts(raw.as_py(), paths[row] or "" if paths else "", self._rules)
            except NoImage as no:
                broken[row] = str(no)
                continue
            more: dict[str, Any] = {}
            for name, said in (("format", facts.format), ("width", facts.width), ("height", facts.height)):
                stated = columns[name][row]
                column = self._fields.columns[name]
                # What a pointer or the object's name states is in `metadata` or the path already.
                if said is not None and stated is not None and stated != said and column[0] not in "/@":
                    more[column] = stated
                columns[name][row] = stated if said is None else said
            more |= facts.more
            if more:
                kept = {} if texts[row] is None else loads(texts[row].encode("utf-8"))
                kept |= {name: value for name, value in more.items() if kept.get(name) is None}
                texts[row] = canonical(kept)
        for name in _MEASURED:
            found[name] = pa.array(columns[name], found[name].type)
        return pa.array(texts, metadata.type), broken


def places_of(fields: FieldMap, *, images: bool) -> list[Place]:
    """What the fields take of a table: names from a column inwards; of images also what a struct may hold."""
    pointers = [column for column in fields.columns.values() if column.startswith("/")]
    found: list[Place] = [[column] for column in sorted(fields.taken)]
    found += map(parts_of, pointers)
    own = fields.columns.get(_BYTES, "/") if images else "/"
    if not own.startswith("/"):
        # Without a word of the job any column may be the struct (`column`).
        found += [[None if own == _BYTES else own, name] for name in (_BYTES, _PATH)]
    return found


def why_missing(column: str, table: Mapping[str, pa.Array]) -> str:
    """What is said of a column that is not there."""
    values = table.get(parts_of(column)[0])
    kind = None if values is None or not column.startswith("/") else values.type
    if kind is not None and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return "lies in a list, and a row takes one"
    return "is missing"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _holds(values: pa.Array, names: Sequence[str]) -> bool:
    """Whether it is a struct with these fields."""
    kind = values.type
    return pa.types.is_struct(kind) and all(kind.get_field_index(name) >= 0 for name in names)


def _without(values: pa.Array, inner: Sequence[str]) -> pa.Array | None:
    """A struct without the field at `inner`; None where nothing is left of it."""
    if not _holds(values, inner[:1]):
        return values
    kept: dict[str, pa.Array] = {}
    for field in values.type:
        child: pa.Array | None = pc.struct_field(values, field.name)
        if field.name == inner[0]:
            child = _without(child, inner[1:]) if len(inner) > 1 else None
        if child is not None:
            kept[field.name] = child
    if not kept:
        return None
    return pa.StructArray.from_arrays(list(kept.values()), list(kept), mask=values.is_null())
