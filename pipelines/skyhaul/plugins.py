"""What the author of a plug-in needs, in one place that stays: declarations, protocols, errors, helpers.

A name here keeps its meaning within a minor version of skyhaul; everything else may move. What is heavy is
imported when its name is first asked for, so `from skyhaul.plugins import Format` takes no time. How to
write, package and test a plug-in: docs/plugins.md; an installable one: examples/plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyhaul.shards.transforms import Transform, Transformed, filtered
    from skyhaul.transforms.declaration import Target, TransformDeclaration, TransformOptions
    from skyhaul.transforms.expression import Expression
    from skyhaul_connectors.formats.bytes.byte_reader import ByteReader
    from skyhaul_connectors.formats.bytes.compression import is_compressed, open_stream
    from skyhaul_connectors.formats.bytes.lines import (
        LongLine,
        Rest,
        Window,
        lines_of_chunk,
        lines_of_stream,
    )
    from skyhaul_connectors.formats.bytes.stream import Broken, PlainStream, Stream
    from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
    from skyhaul_connectors.formats.bytes.whole_body import read_whole
    from skyhaul_connectors.formats.declaration import Format, Implementation
    from skyhaul_connectors.formats.decoder import (
        Account,
        RowBuffer,
        WholeObject,
        even_cuts,
        rows,
        with_surroundings,
    )
    from skyhaul_connectors.formats.options import FormatOptions
    from skyhaul_connectors.formats.protocol import (
        ChunkBytes,
        Decoded,
        Decoder,
        DecodeSettings,
        Joins,
        PassedOver,
        ReadsAhead,
        Reject,
        Selective,
    )
    from skyhaul_connectors.formats.records.fields import Drift, FieldMap
    from skyhaul_connectors.formats.records.melt import MeltOptions
    from skyhaul_connectors.formats.records.missing import MissingOptions
    from skyhaul_connectors.formats.records.times import TimeOptions
    from skyhaul_schemas.errors import (
        CarriageError,
        DecodeError,
        DriftError,
        PlugInMissing,
        PlugInRefused,
        SkyhaulError,
        StorageError,
        TransformFailed,
        UsageError,
    )
    from skyhaul_schemas.job.model import Size
    from skyhaul_schemas.plan import Chunk, PinnedObject
    from skyhaul_schemas.printable import brief, printable
    from skyhaul_schemas.records import BLOB_PART_SIZE, RAW_CAP, decoded_schema

_FORMATS = "skyhaul_connectors.formats."

_MODULES = {
    "skyhaul.shards.transforms": ("Transform", "Transformed", "filtered"),
    "skyhaul.transforms.declaration": ("Target", "TransformDeclaration", "TransformOptions"),
    "skyhaul.transforms.expression": ("Expression",),
    f"{_FORMATS}declaration": ("Format", "Implementation"),
    f"{_FORMATS}options": ("FormatOptions",),
    f"{_FORMATS}protocol": (
        "ChunkBytes",
        "DecodeSettings",
        "Decoded",
        "Decoder",
        "Joins",
        "PassedOver",
        "ReadsAhead",
        "Reject",
        "Selective",
    ),
    f"{_FORMATS}decoder": (
        "Account",
        "RowBuffer",
        "WholeObject",
        "even_cuts",
        "rows",
        "with_surroundings",
    ),
    f"{_FORMATS}bytes.byte_reader": ("ByteReader",),
    f"{_FORMATS}bytes.compression": ("is_compressed", "open_stream"),
    f"{_FORMATS}bytes.lines": ("LongLine", "Rest", "Window", "lines_of_chunk", "lines_of_stream"),
    f"{_FORMATS}bytes.stream": ("Broken", "PlainStream", "Stream"),
    f"{_FORMATS}bytes.stream_options": ("StreamOptions",),
    f"{_FORMATS}bytes.whole_body": ("read_whole",),
    f"{_FORMATS}records.fields": ("Drift", "FieldMap"),
    f"{_FORMATS}records.melt": ("MeltOptions",),
    f"{_FORMATS}records.missing": ("MissingOptions",),
    f"{_FORMATS}records.times": ("TimeOptions",),
    "skyhaul_schemas.errors": (
        "CarriageError",
        "DecodeError",
        "DriftError",
        "PlugInMissing",
        "PlugInRefused",
        "SkyhaulError",
        "StorageError",
        "TransformFailed",
        "UsageError",
    ),
    "skyhaul_schemas.job.model": ("Size",),
    "skyhaul_schemas.plan": ("Chunk", "PinnedObject"),
    "skyhaul_schemas.printable": ("brief", "printable"),
    "skyhaul_schemas.records": ("BLOB_PART_SIZE", "RAW_CAP", "decoded_schema"),
}
"""Module -> what of it is public here; the imports above say the same to type checkers, and a test holds the
two together."""

_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "BLOB_PART_SIZE",
    "RAW_CAP",
    "Account",
    "Broken",
    "ByteReader",
    "CarriageError",
    "Chunk",
    "ChunkBytes",
    "DecodeError",
    "DecodeSettings",
    "Decoded",
    "Decoder",
    "Drift",
    "DriftError",
    "Expression",
    "FieldMap",
    "Format",
    "FormatOptions",
    "Implementation",
    "Joins",
    "LongLine",
    "MeltOptions",
    "MissingOptions",
    "PassedOver",
    "PinnedObject",
    "PlainStream",
    "PlugInMissing",
    "PlugInRefused",
    "ReadsAhead",
    "Reject",
    "Rest",
    "RowBuffer",
    "Selective",
    "Size",
    "SkyhaulError",
    "StorageError",
    "Stream",
    "StreamOptions",
    "Target",
    "TimeOptions",
    "Transform",
    "TransformDeclaration",
    "TransformFailed",
    "TransformOptions",
    "Transformed",
    "UsageError",
    "WholeObject",
    "Window",
    "brief",
    "decoded_schema",
    "even_cuts",
    "filtered",
    "is_compressed",
    "lines_of_chunk",
    "lines_of_stream",
    "open_stream",
    "printable",
    "read_whole",
    "rows",
    "with_surroundings",
]


def __getattr__(name: str) -> Any:
    module = _PLACES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
