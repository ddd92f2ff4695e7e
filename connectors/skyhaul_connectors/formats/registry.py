"""The formats by name and by suffix: those built in, and those of installed packages.

A format is declared in the `__init__` of the package that holds its decoder, and named in FORMATS. One of
somebody else's package is found by its entry point (`skyhaul_schemas.plugins`), loaded where a job names it,
and never chosen by suffix: what is installed must not change what a job means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from skyhaul_connectors.formats import archive, columnar, delimited, json, media, text, web
from skyhaul_connectors.formats.declaration import Format, Implementation, MemberFormats
from skyhaul_connectors.formats.options import FormatOptions, parse_options
from skyhaul_connectors.formats.protocol import Decoder, DecodeSettings
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused, UsageError, ValueRefused
from skyhaul_schemas.plugins import Listed, PlugIn
from skyhaul_schemas.printable import brief
from skyhaul_schemas.records import BODIES, OWN, RecordSchema, schema_kind

FORMATS: Mapping[str, Format] = {
    entry.name: entry
    for entry in (
        json.JSONL,
        json.JSON,
        text.TEXT,
        web.HTML,
        web.WARC,
        columnar.PARQUET,
        columnar.ARROW,
        delimited.CSV,
        delimited.TSV,
        media.IMAGE,
        media.AUDIO,
        archive.TAR,
        media.BINARY,
    )
}
"""The built-in formats by name, as `format` of a source writes it. Messages and docs list them so; of two
that have a suffix and a schema in common the first one counts."""


def format_of(path: str, schema: RecordSchema = "document") -> str | None:
    """The built-in format that an object's name and the dataset's schema state; None if they state none."""
    # Whatever its name says: a blob is an object as it is.
    if schema == "blob":
        return "binary"
    from skyhaul_connectors.formats.bytes.compression import stem_of

    stem = stem_of(path).lower()
    for entry in FORMATS.values():
        if stem.endswith(entry.suffixes) and _gives(entry, schema):
            return entry.name
    return None


def may_join(settings: DecodeSettings) -> bool:
    """Whether a decoder under these settings may make a record of several objects.

    Told without a decoder, so that planning asks those sources alone for the groups of their objects.
    """
    return settings.schema in ("image", "audio") and settings.options.get("captions") == "beside"


def format_under(settings: DecodeSettings, path: str) -> str | None:
    """The format of an object in a source for which the job names none; a side-car has that of its image."""
    name = format_of(path, settings.schema)
    if name is None and may_join(settings):
        from skyhaul_connectors.formats.media.sidecars import is_side_car

        return str(settings.schema) if is_side_car(path) else None
    return name


def decoder_for(format: str | None, settings: DecodeSettings, path: str) -> Decoder:
    """The decoder of the object at `path`: by the format's name, or by suffix where that is None.

    Raises:
        UsageError: An unknown format, one that cannot give the schema, a bad option, no suffix that states a
            format, or a plug-in that cannot be used.
    """
    name = format if format is not None else format_under(settings, path)
    if name is None:
        raise UsageError(
            f"{brief(path)}: its suffix states no format for schema {settings.schema};"
            f" say `format:` for its source ({', '.join(_names(settings.schema))})"
        )
    entry = _entry(name, settings.schema)
    options, decoder = implementation(entry)
    given = settings.options
    if format is None:
        # A source of mixed formats gives each the options that it knows; `check_options` has seen them all.
        given = {key: value for key, value in given.items() if key in options.names(settings.schema)}
    for key in given:
        if options.of_schema.get(key, settings.schema) != settings.schema:
            whose = f"for schema {options.of_schema[key]}, not {settings.schema}"
            raise ValueRefused(
                f"decode option {brief(key)!r} of format {name} is {whose}",
                ("decode", key),
                allowed=", ".join(sorted(options.names(settings.schema))) or "none",
                of_key=True,
            )
    members = [_MEMBERS] if entry.archive else []
    return decoder(settings, parse_options(options, name, given), *members)


def check_options(format: str | None, settings: DecodeSettings) -> None:
    """Check what a job says of decoding a source, before anything is listed.

    Raises:
        UsageError: As `decoder_for`, as far as it can be told without an object.
    """
    if format is not None:
        decoder_for(format, settings, "")
        return
    if not settings.options:
        return  # else each start would import every format
    known: dict[str, list[str]] = {}
    for entry in FORMATS.values():
        if _gives(entry, settings.schema):
            for key in options_of(entry).names(settings.schema):
                known.setdefault(key, []).append(entry.name)
    for key in settings.options:
        if key not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise ValueRefused(
                f"decode option {brief(key)!r} is of no format for schema {settings.schema}"
                f" (allowed: {allowed})",
                ("decode", key),
                allowed=allowed,
                known=tuple(sorted(known)),
                of_key=True,
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


def check_name(format: str | None) -> None:
    """Raise PlugInRefused where a job names a format that is built in and of a package, too."""
    if format is not None and format in FORMATS:
        plugins.refuse_clash(plugins.FORMATS, format)


def fingerprint_of(format: str | None, settings: DecodeSettings) -> dict[str, str]:
    """Versions behind `format`, or behind all built-in formats of the schema."""
    names = (
        [format] if format is not None else [e.name for e in FORMATS.values() if _gives(e, settings.schema)]
    )
    found: dict[str, str] = {}
    for name in names:
        # A tar asks for the fingerprints of what its members may be, so that this would never end.
        if name != "tar":
            # Without the options: among several formats each knows only its own.
            plain = DecodeSettings(settings.schema)
            found.update(decoder_for(name, plain, "").fingerprint)
            found.update(plug_in_fingerprint(name))
    return found


def plug_in_fingerprint(format: str | None) -> dict[str, str]:
    """The package that `format` comes from, as a plan states it; empty for what is built in."""
    plug_in = _plug_in(format) if format is not None else None
    return {} if plug_in is None else plug_in.fingerprint


def listed() -> Iterator[Listed[Format]]:
    """All formats, the built-in ones first. Loads the declarations of every installed package's."""
    return plugins.listed(plugins.FORMATS, FORMATS, _declared)


def implementation(entry: Format) -> Implementation:
    """The options and the decoder of a format. Raises PlugInRefused for a plug-in whose import fails."""
    # By identity: a plug-in may claim a built-in name. What ours raises is a bug, and stays one.
    if FORMATS.get(entry.name) is entry:
        return entry.load()
    try:
        return entry.load()
    except (Exception, SystemExit) as error:  # code of somebody else's
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise PlugInRefused(f"format {brief(entry.name)!r} cannot be loaded: {brief(why)}") from error


def options_of(entry: Format) -> type[FormatOptions]:
    """The model of the format's options."""
    return implementation(entry).options


def takes(entry: Format, key: str, value: object) -> bool:
    """Whether `value` is of the kind that the format's option `key` has."""
    try:
        kind: Any = options_of(entry).model_fields[key].annotation
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _entry(name: str, schema: RecordSchema) -> Format:
    # First, or a misspelt schema would be reported as one that the format does not give.
    if isinstance(schema, str) and schema not in BODIES:
        raise UsageError(f"schema {brief(schema)!r} is none of {', '.join(BODIES)}")
    entry = FORMATS.get(name)
    if entry is None:
        plug_in = _plug_in(name)
        if plug_in is None:
            more = [brief(name) for name in plugins.names(plugins.FORMATS) if name not in FORMATS]
            known = (*_names(schema), *more)
            allowed = ", ".join(known)
            raise ValueRefused(
                f"format {brief(name)!r} is unknown (allowed: {allowed})", ("format",), name, allowed, known
            )
        entry = _declared(plug_in)
    if not _gives(entry, schema):
        fitting = ", ".join(_names(schema))
        given = " or ".join(kind for kind in entry.schemas if kind != OWN)
        said = f"format {name} gives {given}, not schema {schema} (for that: {fitting})"
        raise ValueRefused(said, ("format",), name, f"a format of schema {schema}: {fitting}")
    return entry


def _plug_in(name: str) -> PlugIn | None:
    return None if name in FORMATS else plugins.find(plugins.FORMATS, name)


def _declared(plug_in: PlugIn) -> Format:
    entry = plug_in.load(Format)
    if entry.name != plug_in.name:
        raise PlugInRefused(
            f"package {brief(plug_in.package)} declares format {brief(entry.name)!r}"
            f" under the name {brief(plug_in.name)!r}"
        )
    return entry


def _gives(entry: Format, schema: RecordSchema) -> bool:
    return schema_kind(schema) in entry.schemas


def _names(schema: RecordSchema) -> list[str]:
    return [entry.name for entry in FORMATS.values() if _gives(entry, schema)]


_MEMBERS = MemberFormats(format_of, decoder_for, check_options, fingerprint_of)
