"""The job file's JSON Schema as editors want it: the model's, with the names that the registries know.

The model keeps names of formats, presets, transforms and schemes as they are written. Here the formats (with
the options of each below `decode`), presets, transforms and schemes that are built in or installed come into
their places, with what they mean. A schema is of the machine that it was made on: what a package adds is in
it where that is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from skyhaul.transforms import registry as transforms
from skyhaul_connectors.formats import registry as formats
from skyhaul_connectors.formats.declaration import Format
from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_connectors.formats.reference import meanings
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_connectors.sources.opening import KINDS
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused
from skyhaul_schemas.job.file import json_schema

Json = dict[str, Any]

_ENVIRONMENT: Json = {"type": "string", "pattern": r"\$\{"}
"""`${NAME}`: a value that is only known where the job runs."""


def job_schema() -> Json:
    """The whole schema (JSON Schema, draft 2020-12). Loads every format and transform that is installed."""
    schema = json_schema()
    parts = schema["$defs"]
    _add_formats(parts)
    _set_names(parts["LinkSpec"], "preset", {name: profile.note for name, profile in PRESETS.items()})
    # What the model's validator refuses, in the words that JSON Schema has for it.
    parts["LinkSpec"]["dependentRequired"] = {"shared": ["down"]}
    _add_transforms(schema, parts)
    _add_schemes(parts)
    return schema


def schemes() -> list[str]:
    """The schemes of URLs that a source may have, as written before `://`; a path has none."""
    built_in = {scheme for kind in KINDS for scheme in kind.schemes if scheme}
    return sorted(built_in | set(plugins.names(plugins.SOURCES)))


def format_options() -> Iterator[tuple[plugins.Listed[Format], type[FormatOptions]]]:
    """Every format that can be used here, with the model of its options."""
    for entry in formats.listed():
        if entry.declaration is not None:
            try:
                yield entry, formats.options_of(entry.declaration)
            except PlugInRefused:
                continue


def _add_formats(parts: Json) -> None:
    source = parts["SourceSpec"]
    names: dict[str, str] = {}
    cases: list[Json] = []
    keys: set[str] = set()
    for entry, model in format_options():
        assert entry.declaration is not None
        names[entry.name] = entry.declaration.about
        keys.update(model.model_fields)
        # A point in the name keeps it apart from the definitions that pydantic names by classes.
        place = f"decode.{entry.name}"
        parts[place] = _described(_hoisted(model, place, parts), _meanings(model))
        case = {"properties": {"format": {"const": entry.name}}, "required": ["format"]}
        cases.append({"if": case, "then": {"properties": {"decode": {"$ref": f"#/$defs/{place}"}}}})
    _set_names(source, "format", names)
    # Options of a format that comes from the environment are not looked at: only the haul knows which it is.
    # Without a format each object's suffix states it, and an option may be of any of them.
    known = {"decode": {"propertyNames": {"enum": sorted(keys)}}}
    cases.append({"if": {"properties": {"format": {"type": "null"}}}, "then": {"properties": known}})
    source["allOf"] = cases


def _meanings(model: type[FormatOptions]) -> Mapping[str, str]:
    try:
        return meanings(model)
    except KeyError:  # a package's, whose author wrote other docstrings
        return {}


def _described(schema: Json, said: Mapping[str, str]) -> Json:
    for key, meaning in said.items():
        schema["properties"][key].setdefault("description", meaning)
    return schema


def _add_transforms(schema: Json, parts: Json) -> None:
    rules: list[Json] = []
    for entry in transforms.listed():
        if entry.plug_in is None or entry.declaration is None:
            continue
        options = _hoisted(entry.declaration.options, f"transform.{entry.name}", parts)
        rules.append(
            {
                "type": "object",
                "description": f"{entry.declaration.about} ({entry.plug_in.package})",
                "properties": {entry.name: options, "name": parts["Keep"]["properties"]["name"]},
                "required": [entry.name],
                "additionalProperties": False,
            }
        )
    for part in (schema, parts["SourceSpec"]):
        part["properties"]["transforms"]["items"]["anyOf"].extend(rules)


def _add_schemes(parts: Json) -> None:
    """URLs of a source are paths, or begin with a scheme in letters of either case."""
    taken = "|".join("".join(_either_case(letter) for letter in scheme) for scheme in schemes())
    pattern = rf"^({taken})://|^(?![A-Za-z][A-Za-z0-9+.-]*:(//|:))"
    # As `job.source.Urls` states its three forms; the third, a mapping, has its URL checked when it is read.
    one, many, _ = parts["SourceSpec"]["properties"]["url"]["anyOf"]
    one["pattern"] = pattern
    many["items"]["pattern"] = pattern


def _either_case(letter: str) -> str:
    return f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter


def _set_names(part: Json, key: str, names: Mapping[str, str]) -> None:
    """Of `key`, whose values the model takes as any text, allow those that are known."""
    known = [{"const": name, "description": meaning} for name, meaning in names.items()]
    part["properties"][key]["anyOf"] = [{"enum": list(names), "oneOf": known}, _ENVIRONMENT, {"type": "null"}]


def _hoisted(model: type[BaseModel], place: str, parts: Json) -> Json:
    """The schema of `model`, with the definitions that it refers to among `parts`, below `place`."""
    found = model.model_json_schema(ref_template=f"#/$defs/{place}.{{model}}")
    for name, part in found.pop("$defs", {}).items():
        parts[f"{place}.{name}"] = part
    return found
