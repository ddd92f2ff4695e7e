"""What the author of a plug-in needs, in one place that stays: declarations, protocols, errors, helpers.

A name here keeps its meaning within a minor version of skyhaul; everything else may move. What is heavy is
imported when its name is first asked for, so `from skyhaul.plugins import Format` takes no time. How to
write, package and test a plug-in: docs/plugins.md; an installable one: examples/plugin.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# For type checkers and editors, which do not run `__getattr__`.
if TYPE_CHECKING:
    from skyhaul.shards.transform_step import Transform, Transformed, filtered
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
    from skyhaul_connectors.sources.catalogue.documents import Document, lines_of
    from skyhaul_connectors.sources.catalogue.path_list import PathList, as_listed
    from skyhaul_connectors.sources.catalogue.rooted import Rooted, rooted
    from skyhaul_connectors.sources.declaration import Opening, SourceKind
    from skyhaul_connectors.sources.left_out import LeftOut
    from skyhaul_connectors.sources.memory.source import MemorySource
    from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, RangeRequest, Route, Source
    from skyhaul_connectors.sources.reading_channel import ReadingChannel
    from skyhaul_connectors.sources.timeouts import Timeouts
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
    from skyhaul_schemas.own_schema import OwnSchema
    from skyhaul_schemas.plan import Chunk, PinnedObject
    from skyhaul_schemas.printable import brief, printable
    from skyhaul_schemas.records import BLOB_PART_SIZE, RAW_CAP, RecordSchema, decoded_schema

_FORMATS = "skyhaul_connectors.formats."
_SOURCES = "skyhaul_connectors.sources."

_MODULES = {
    "skyhaul.shards.transform_step": ("Transform", "Transformed", "filtered"),
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
    f"{_SOURCES}catalogue.documents": (
        "Document",
        "lines_of",
    ),
    f"{_SOURCES}catalogue.path_list": (
        "PathList",
        "as_listed",
    ),
    f"{_SOURCES}catalogue.rooted": (
        "Rooted",
        "rooted",
    ),
    f"{_SOURCES}declaration": (
        "Opening",
        "SourceKind",
    ),
    f"{_SOURCES}left_out": ("LeftOut",),
    f"{_SOURCES}memory.source": ("MemorySource",),
    f"{_SOURCES}protocol": (
        "Channel",
        "ChannelEvents",
        "RangeRequest",
        "Route",
        "Source",
    ),
    f"{_SOURCES}reading_channel": ("ReadingChannel",),
    f"{_SOURCES}timeouts": ("Timeouts",),
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
    "skyhaul_schemas.own_schema": ("OwnSchema",),
    "skyhaul_schemas.records": ("BLOB_PART_SIZE", "RAW_CAP", "RecordSchema", "decoded_schema"),
}
"""Module -> what of it is public here; the imports above say the same to type checkers, and a test holds the
two together."""

_PLACES = {name: module for module, names in _MODULES.items() for name in names}

# Written out and not made of the above: linters and type checkers read it without running the module.
__all__ = [
    "BLOB_PART_SIZE",
    "RAW_CAP",
    "Account",
    "Broken",
    "ByteReader",
    "CarriageError",
    "Channel",
    "ChannelEvents",
    "Chunk",
    "ChunkBytes",
    "DecodeError",
    "DecodeSettings",
    "Decoded",
    "Decoder",
    "Document",
    "Drift",
    "DriftError",
    "Expression",
    "FieldMap",
    "Format",
    "FormatOptions",
    "Implementation",
    "Joins",
    "LeftOut",
    "LongLine",
    "MeltOptions",
    "MemorySource",
    "MissingOptions",
    "Opening",
    "OwnSchema",
    "PassedOver",
    "PathList",
    "PinnedObject",
    "PlainStream",
    "PlugInMissing",
    "PlugInRefused",
    "RangeRequest",
    "ReadingChannel",
    "ReadsAhead",
    "RecordSchema",
    "Reject",
    "Rest",
    "Rooted",
    "Route",
    "RowBuffer",
    "Selective",
    "Size",
    "SkyhaulError",
    "Source",
    "SourceKind",
    "StorageError",
    "Stream",
    "StreamOptions",
    "Target",
    "TimeOptions",
    "Timeouts",
    "Transform",
    "TransformDeclaration",
    "TransformFailed",
    "TransformOptions",
    "Transformed",
    "UsageError",
    "WholeObject",
    "Window",
    "as_listed",
    "brief",
    "decoded_schema",
    "even_cuts",
    "filtered",
    "is_compressed",
    "lines_of",
    "lines_of_chunk",
    "lines_of_stream",
    "open_stream",
    "printable",
    "read_whole",
    "rooted",
    "rows",
    "with_surroundings",
]


# PEP 562: asked only for names that are not there yet.
def __getattr__(name: str) -> Any:
    module = _PLACES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept, so that the next look finds it without this function.
    found = globals()[name] = getattr(importlib.import_module(module), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
