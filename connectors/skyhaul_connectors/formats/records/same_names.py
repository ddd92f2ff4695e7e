"""Columns of one name, told apart.

Two columns of a table may have one name (Arrow, Parquet and delimited text allow it). The first keeps its
name; each later one is numbered as DuckDB numbers them: `a`, `a_1`, `a_2`, in the order of the table; a
number that would make another column's name is passed over (`a`, `a_1`, `a` are `a`, `a_1`, `a_2`). So no
value is lost, and which is which depends on the table alone. The fields of a struct are told apart likewise,
at every level; `columns` of Parquet and Arrow says the table's own names, and reads all columns of that name.

A name that stands twice names no column: where the job takes it for a field, in `melt` or in `time_columns`,
the object is refused, as damage. The way out is to take a numbered one (`text: text_1`), or to name the
columns of delimited text by its option `columns`. Cells of a text's header that name nothing are not told
apart (several before a name are refused): which column is meant by nothing is anyone's guess. Nor are the
keys of a JSON object: one that is there twice is a reject.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa

NAMES_VERSION: Final = {"skyhaul.names": "1"}
"""For the fingerprint: it rises when the same names are told apart otherwise."""

Place = Sequence[str | None]
"""Names from a column inwards; None stands for any column."""


def told_apart(names: Sequence[str]) -> list[str]:
    """The names in their order, no two of them equal."""
    # All names of the table, so that none that is made takes that of a later column.
    taken = set(names)
    if len(taken) == len(names):
        return list(names)
    last: Counter[str] = Counter()
    found = []
    for name in names:
        own = name
        if name in last:
            while own in taken:
                own = f"{name}_{last[name]}"
                # Numbers are not tried again from 1: 500,000 columns of one name are told apart in linear
                # time.
                last[name] += 1
            taken.add(own)
        else:
            last[name] = 1
        found.append(own)
    return found


def has_repeated(schema: pa.Schema) -> bool:
    """Whether two columns, or two fields of one struct at any level, have one name."""
    return len(set(schema.names)) < len(schema.names) or any(
        _told_apart(kind) is not kind for kind in schema.types
    )


def repeated(names: Sequence[str]) -> list[str]:
    """The names that stand more than once, in the order of their first places."""
    if len(set(names)) == len(names):
        return []
    return [name for name, count in Counter(names).items() if count > 1]


def repeated_inside(fields: Sequence[pa.Field], places: Iterable[Place]) -> str | None:
    """A name on the way to one of `places` that stands more than once; None where there is none."""
    for first, *inner in places:
        among = fields
        for part in (first, *inner):
            if part is not None and [field.name for field in among].count(part) > 1:
                return part
            reached = [field.type for field in among if part in (None, field.name)]
            among = [field for kind in reached if pa.types.is_struct(kind) for field in kind]
    return None


def batch_told_apart(batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
    """A valid `batch` with its columns called `columns`, and the fields of its structs told apart."""
    kinds = map(_told_apart, batch.schema.types)
    fields = [pa.field(name, kind) for name, kind in zip(columns, kinds, strict=True)]
    return pa.record_batch(_Renamed(batch, pa.schema(fields)))


class _Renamed:
    """A batch's own buffers under other names, handed over by Arrow's C data interface.

    pyarrow renames a batch's columns but not the fields of nested types, short of making each array anew. See
    https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html."""

    def __init__(self, batch: pa.RecordBatch, schema: pa.Schema) -> None:
        self._batch = batch
        self._schema = schema

    def __arrow_c_array__(self, requested_schema: Any = None) -> tuple[Any, Any]:
        # Whoever imports the pair takes the types from the schema, and counts buffers and children by it: it
        # must be the batch's own but for names. That is why the batch has to be valid.
        return self._schema.__arrow_c_schema__(), self._batch.__arrow_c_array__()[1]


def _told_apart(kind: pa.DataType) -> pa.DataType:
    """The type with its structs' fields told apart; itself where they are."""
    # Callers compare by `is`: a type in which nothing is told apart must come back as the same object.
    if isinstance(kind, pa.BaseExtensionType):
        storage = kind.storage_type
        inner = _told_apart(storage)
        # With other storage it would be another extension type; its values are read as what they are stored
        # as anyway.
        return kind if inner is storage else inner
    if pa.types.is_dictionary(kind):
        value = kind.value_type
        inner = _told_apart(value)
        return kind if inner is value else pa.dictionary(kind.index_type, inner, kind.ordered)
    if not kind.num_fields:
        return kind
    fields = list(_fields(kind))
    kinds = [field.type for field in fields]
    apart = [_told_apart(inner) for inner in kinds]
    names = [field.name for field in fields]
    renamed = told_apart(names) if pa.types.is_struct(kind) else names
    if renamed == names and all(one is other for one, other in zip(apart, kinds, strict=True)):
        return kind
    made = zip(fields, renamed, apart, strict=True)
    return _of(kind, [field.with_name(name).with_type(inner) for field, name, inner in made])


def _fields(kind: pa.DataType) -> Iterator[pa.Field]:
    return (kind.field(place) for place in range(kind.num_fields))


def _of(kind: pa.DataType, fields: list[pa.Field]) -> pa.DataType:
    """The nested type `kind` with other fields. Raises ValueError on one that is not known here."""
    if pa.types.is_struct(kind):
        return pa.struct(fields)
    if pa.types.is_map(kind):
        return pa.map_(*_fields(fields[0].type), keys_sorted=kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(fields[0], kind.list_size)
    if pa.types.is_union(kind):
        return pa.union(fields, kind.mode, kind.type_codes)
    if pa.types.is_run_end_encoded(kind):
        return pa.run_end_encoded(fields[0].type, fields[1].type)
    for known, make in _LISTS.items():
        if kind.id == known:
            return make(fields[0])
    raise ValueError(f"a struct inside of {kind} has two fields of one name")


_LISTS: Final = {
    pa.list_(pa.null()).id: pa.list_,
    pa.large_list(pa.null()).id: pa.large_list,
    pa.list_view(pa.null()).id: pa.list_view,
    pa.large_list_view(pa.null()).id: pa.large_list_view,
}
