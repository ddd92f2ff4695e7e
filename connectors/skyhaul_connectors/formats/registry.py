"""The formats by name and by suffix. A format is a module behind this table, imported when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from skyhaul_connectors.formats.options import FormatOptions, parse_options
from skyhaul_connectors.formats.printable import printable
from skyhaul_connectors.formats.protocol import Decoder, DecodeSettings
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.records import BODIES


@dataclass(frozen=True, slots=True)
class Format:
    """module: below skyhaul_connectors.formats; `prefix`Decoder and `prefix`Options are in it. schemas: what
    it can give. suffixes: of an object's name, after a compression suffix was taken off."""

    name: str
    module: str
    prefix: str
    schemas: tuple[str, ...]
    suffixes: tuple[str, ...]
    about: str


FORMATS = {
    entry.name: entry
    for entry in (
        Format("jsonl", "json.jsonl", "Jsonl", ("document", "reading"), (".jsonl", ".ndjson", ".jsonlines"),
               "one JSON object a line"),
        Format("json", "json.document", "Json", ("document", "reading"),
               (".json", ".geojson"), "a JSON array, one JSON object, or lines after all"),
        Format("text", "text.decoder", "Text", ("document",),
               (".txt", ".text", ".md", ".markdown", ".rst", ".py", ".log", ".tex", ".org"),
               "a text, or each paragraph of it"),
        Format("html", "web.html", "Html", ("document",), (".html", ".htm", ".xhtml"), "the text of a page"),
        Format("warc", "web.warc", "Warc", ("document",), (".warc", ".wet", ".arc", ".warc.wet"),
               "web archives: WARC, WET and ARC"),
        Format("parquet", "columnar.decoder", "Parquet", ("document", "reading", "image"),
               (".parquet", ".pq"), "Parquet files, row group by row group"),
        Format("arrow", "columnar.decoder", "Arrow", ("document", "reading", "image"),
               (".arrow", ".arrows", ".feather", ".ipc"), "Arrow IPC files and streams"),
        Format("csv", "delimited.decoder", "Csv", ("document", "reading"), (".csv",),
               "delimited text with a header"),
        Format("tsv", "delimited.decoder", "Tsv", ("document", "reading"), (".tsv", ".tab"), "csv with tabs"),
        Format("image", "media.image", "Image", ("image",),
               (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".heic"),
               "an image, its size and type from its header"),
        Format("tar", "archive.tar", "Tar", ("document", "reading", "image", "blob"), (".tar",),
               "an archive of objects, each decoded by its own suffix"),
        Format("binary", "media.binary", "Binary", ("blob",), (), "any object as it is"),
    )
}  # fmt: skip
"""Format by name, as `format` of a source writes it."""


def format_of(path: str, schema: str = "document") -> str | None:
    """The format that an object's name and the dataset's schema state; None where they say nothing."""
    if schema == "blob":
        return "binary"
    from skyhaul_connectors.formats.bytes.compression import stem_of

    stem = stem_of(path).lower()
    for entry in FORMATS.values():
        if stem.endswith(entry.suffixes) and schema in entry.schemas:
            return entry.name
    return None


def may_join(settings: DecodeSettings) -> bool:
    """Whether a decoder under these settings may make a record of several objects."""
    return settings.schema == "image" and settings.options.get("captions") == "beside"


def format_under(settings: DecodeSettings, path: str) -> str | None:
    """The format of an object in a source whose job names none; that of an image is its side-car's, too."""
    name = format_of(path, settings.schema)
    if name is None and may_join(settings):
        from skyhaul_connectors.formats.media.sidecars import is_side_car

        return "image" if is_side_car(path) else None
    return name


def decoder_for(format: str | None, settings: DecodeSettings, path: str) -> Decoder:
    """The decoder of the object at `path`: by the format's name, or by suffix where that is None.

    Raises UsageError: an unknown format, one that cannot give the schema, a bad option, or no suffix that
    states a format.
    """
    name = format if format is not None else format_under(settings, path)
    if name is None:
        raise UsageError(
            f"{printable(path)}: its suffix states no format for schema {settings.schema};"
            f" say `format:` for its source ({_names(settings.schema)})"
        )
    entry = _entry(name, settings.schema)
    module = importlib.import_module(f"skyhaul_connectors.formats.{entry.module}")
    options: type[FormatOptions] = getattr(module, f"{entry.prefix}Options", FormatOptions)
    given = settings.options
    if format is None:
        # A source of mixed formats gives each the options that it knows; `check_options` has seen them all.
        given = {key: value for key, value in given.items() if key in options.names(settings.schema)}
    for key in given:
        if options.of_schema.get(key, settings.schema) != settings.schema:
            raise UsageError(
                f"decode option {printable(key)!r} of format {name} is for schema {options.of_schema[key]},"
                f" not {settings.schema}"
            )
    build: Callable[[DecodeSettings, Any], Decoder] = getattr(module, f"{entry.prefix}Decoder")
    return build(settings, parse_options(options, name, given))


def check_options(format: str | None, settings: DecodeSettings) -> None:
    """What a job says of decoding a source, checked before anything is listed. Raises UsageError."""
    if format is not None:
        decoder_for(format, settings, "")
        return
    if not settings.options:
        return  # else each start would import every format
    known: dict[str, list[str]] = {}
    for entry in FORMATS.values():
        if settings.schema in entry.schemas:
            for key in options_of(entry).names(settings.schema):
                known.setdefault(key, []).append(entry.name)
    for key in settings.options:
        if key not in known:
            raise UsageError(
                f"decode option {printable(key)!r} is of no format for schema {settings.schema}"
                f" (allowed: {', '.join(sorted(known)) or 'none'})"
            )
    # Together, since some options only fit each other.
    for name in sorted({name for key in settings.options for name in known[key]}):
        # A value that another format takes is no fault of the job, unless an object of this one comes.
        given = {
            key: value
            for key, value in settings.options.items()
            if name in known[key]
            and (
                takes(FORMATS[name], key, value) or not any(takes(FORMATS[n], key, value) for n in known[key])
            )
        }
        parse_options(options_of(FORMATS[name]), name, given)


def fingerprint_of(format: str | None, settings: DecodeSettings) -> dict[str, str]:
    """Versions behind `format`, or behind all formats of the schema."""
    names = (
        [format] if format is not None else [e.name for e in FORMATS.values() if settings.schema in e.schemas]
    )
    found: dict[str, str] = {}
    for name in names:
        if name != "tar":
            plain = DecodeSettings(settings.schema)
            found.update(decoder_for(name, plain, "").fingerprint)
    return found


def options_of(entry: Format) -> type[FormatOptions]:
    """The model of the format's options."""
    module = importlib.import_module(f"skyhaul_connectors.formats.{entry.module}")
    found: type[FormatOptions] = getattr(module, f"{entry.prefix}Options", FormatOptions)
    return found


def takes(entry: Format, key: str, value: object) -> bool:
    """Whether `value` is of the kind that the format's option `key` has."""
    try:
        kind: Any = options_of(entry).model_fields[key].annotation
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _entry(name: str, schema: str) -> Format:
    if schema not in BODIES:
        raise UsageError(f"schema {printable(schema)!r} is none of {', '.join(BODIES)}")
    entry = FORMATS.get(name)
    if entry is None:
        raise UsageError(f"format {printable(name)!r} is unknown (allowed: {_names(schema)})")
    if schema not in entry.schemas:
        raise UsageError(
            f"format {name} gives {' or '.join(entry.schemas)}, not schema {schema}"
            f" (for that: {_names(schema)})"
        )
    return entry


def _names(schema: str) -> str:
    return ", ".join(entry.name for entry in FORMATS.values() if schema in entry.schemas)
