"""Arrow's encodings of values undone, so that a column has the type of what is in it."""

from __future__ import annotations

import pyarrow as pa


def plain(column: pa.Array) -> pa.Array:
    """Dictionaries and views decoded, extension types as what they are stored as."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    # In this order: what an extension is stored as may be a dictionary, and a dictionary's values views.
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == pa.string_view():
        column = column.cast(pa.large_string())
    if column.type == pa.binary_view():
        column = column.cast(pa.large_binary())
    return column
