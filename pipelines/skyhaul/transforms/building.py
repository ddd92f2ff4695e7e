"""Declared rules to transforms of one shard."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import pyarrow as pa

from skyhaul.shards.transform_step import Transform
from skyhaul.transforms.duplicates import Deduplicated
from skyhaul.transforms.expression import Expression
from skyhaul.transforms.languages import LanguageIdentified, languages_fingerprint
from skyhaul.transforms.rules import ByExpression, ByLength, Normalised
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.transforms import TransformSpec
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import shard_schema

TRANSFORMS_VERSION = 2
"""Raised whenever equal rules would take other rows, or change them otherwise."""

_USUAL = {"document": "text", "image": "caption"}


def build_transforms(specs: Sequence[TransformSpec], schema: str) -> list[Transform]:
    """The rules in order, for one shard of `schema`: some remember what they have seen. Raises UsageError
    for a rule that does not fit the schema."""
    rows = shard_schema(schema)
    return [_build(spec, rows, _USUAL.get(schema)) for spec in specs]


def transforms_fingerprint(specs: Iterable[TransformSpec]) -> dict[str, str]:
    """Name -> version of what the rules' outcome depends on besides Arrow. Raises UsageError."""
    kinds = {spec.kind for spec in specs}
    found = {"skyhaul.transforms": str(TRANSFORMS_VERSION)} if kinds else {}
    if kinds & {"normalise", "identify_language"}:
        found["unicode"] = unicodedata.unidata_version
    if "identify_language" in kinds:
        found.update(languages_fingerprint())
    return found


def _build(spec: TransformSpec, schema: pa.Schema, usual: str | None) -> Transform:
    name = spec.counted_as
    if spec.kind in ("keep", "drop"):
        return ByExpression(name, Expression(spec.value, schema), spec.kind == "keep")
    if spec.kind == "deduplicate":
        return Deduplicated(name, _column(spec, schema, spec.value, text=False))
    if spec.kind == "min_length":
        return ByLength(name, _column(spec, schema, spec.column or usual, text=False), least=spec.value)
    if spec.kind == "max_length":
        return ByLength(name, _column(spec, schema, spec.column or usual, text=False), most=spec.value)
    column = _column(spec, schema, spec.column or usual, text=True)
    if spec.kind == "normalise":
        return Normalised(column, spec.value)
    if schema.get_field_index("language") < 0:
        raise UsageError("transform `identify_language`: the schema has no column language")
    languages_fingerprint()
    return LanguageIdentified(column)


def _column(spec: TransformSpec, schema: pa.Schema, column: str | None, *, text: bool) -> str:
    """`column`, if the rule can work on it."""
    kinds = [pa.types.is_string, pa.types.is_large_string]
    if not text:
        kinds += [pa.types.is_binary, pa.types.is_large_binary]
    fitting = [field.name for field in schema if field.name != "id" and any(t(field.type) for t in kinds)]
    if column is None or column not in fitting:
        said = "no column" if column is None else printable(column)
        raise UsageError(f"transform `{spec.kind}`: found {said}, allowed: {', '.join(fitting)}")
    return column
