"""`schema` of a job file as a mapping: a record schema of the job's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, PlainValidator, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from skyhaul_schemas.arrow_types import NAMES, BadType, parse_type
from skyhaul_schemas.job.fieldtypes import JobPart, Kind, Name, Text
from skyhaul_schemas.own_schema import TAKEN, OwnSchema, Rest
from skyhaul_schemas.records import BODIES
from skyhaul_schemas.units import NotAllowed

SchemaName = Literal["document", "reading", "image", "audio", "blob"]

_MOST_COLUMNS = 1000
"""Chosen, not measured: the footer of a file holds each of them once for each row group."""


class OwnSchemaSpec(JobPart):
    """A record shape of the job's own."""

    name: Name = Field(
        examples=["preference"], description="What the card and messages call it; no name of a built-in one."
    )
    columns: Annotated[dict[Text, Text], Kind("a mapping of columns to types")] = Field(
        examples=[{"prompt": "string", "turns": "list<struct<role: string, content: string>>"}],
        min_length=1,
        max_length=_MOST_COLUMNS,
        description=f"Column: the name of its type in Arrow ({NAMES}). `id`, `provenance` and `metadata` are "
        "taken.",
    )
    required: list[Text] = Field(
        examples=[["prompt"]],
        default=[],
        description="Columns without null: a record that has no value for one is a reject.",
    )
    rest: Rest = Field(
        examples=["drop"],
        default="metadata",
        description="What becomes of values that no column takes: they are kept in a column `metadata`, as a "
        "JSON object (`metadata`), left out (`drop`), or the record is a reject (`reject`).",
    )

    @model_validator(mode="after")
    def _fit(self) -> OwnSchemaSpec:
        errors = [
            InitErrorDetails(type="value_error", loc=where, input=error.found, ctx={"error": error})
            for where, error in _problems(self)
        ]
        if errors:
            raise ValidationError.from_exception_data(type(self).__name__, errors, hide_input=True)
        return self


def _problems(spec: OwnSchemaSpec) -> Iterator[tuple[tuple[str | int, ...], NotAllowed]]:
    if spec.name in BODIES:
        yield ("name",), NotAllowed(spec.name, f"another name than {', '.join(BODIES)}, which are built in")
    seen: dict[str, str] = {name: name for name in TAKEN}
    for name, kind in spec.columns.items():
        # Transforms name columns in expressions, engines in SQL, where `Text` is `text`.
        if not name.isidentifier():
            allowed = "letters, digits and '_', no digit first; `fields` of a source says what it takes"
            yield ("columns", name), NotAllowed(name, allowed)
        elif (other := seen.setdefault(name.casefold(), name)) in TAKEN:
            yield (
                ("columns", name),
                NotAllowed(name, f"another name: {other} is taken"),
            )
        elif other != name:
            yield ("columns", name), NotAllowed(name, f"a name that differs from {other} in more than case")
        try:
            parse_type(kind)
        except BadType as bad:
            yield ("columns", name), NotAllowed(kind, str(bad))
    for index, name in enumerate(spec.required):
        if name not in spec.columns:
            yield ("required", index), NotAllowed(name, f"a column: {', '.join(spec.columns)}")


def parse_schema(value: Any) -> str | OwnSchema:
    """The schema that stands in a job file as `value`: a name, or a mapping.

    Raises:
        NotAllowed: It is neither.
        ValidationError: A key or a value of the mapping.
    """
    if isinstance(value, OwnSchema):
        return value
    if isinstance(value, dict):
        spec = OwnSchemaSpec.model_validate(value)
        return OwnSchema.of(spec.name, spec.columns, spec.required, spec.rest)
    if isinstance(value, str) and value in get_args(SchemaName):
        return value
    *most, last = (f"'{name}'" for name in get_args(SchemaName))
    raise NotAllowed(value, f"{', '.join(most)} or {last}, or a mapping of name and columns")


# A validator of our own: pydantic's union would answer a misspelt column with the errors of both forms.
SchemaOf = Annotated[
    str | OwnSchema,
    PlainValidator(parse_schema, json_schema_input_type=SchemaName | OwnSchemaSpec),
    Kind(f"{', '.join(f'`{name}`' for name in get_args(SchemaName))}, or a mapping"),
]
