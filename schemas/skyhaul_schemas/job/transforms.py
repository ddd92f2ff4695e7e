"""Transforms as a job declares them: a list of rules, each with one key that says what it does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from skyhaul_schemas.job.fieldtypes import COUNT_LIMIT, Name, Switch, Text, between, whole_schema
from skyhaul_schemas.units import NotAllowed

KINDS = ("keep", "drop", "min_length", "max_length", "normalise", "identify_language", "deduplicate")
"""The keys of which each rule has exactly one."""

EXPRESSION_CAP = 2000
"""Characters."""

Length = Annotated[int, BeforeValidator(between(0, COUNT_LIMIT - 1)), whole_schema(0)]


class TransformSpec(BaseModel):
    """One rule. Rules are applied in their order: a source's own first, then the job's."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    keep: Text | None = Field(
        default=None,
        max_length=EXPRESSION_CAP,
        description="An expression over columns, such as `length(text) >= 200 and language == 'en'`: records "
        "for which it is true stay. It knows and, or, not, comparisons (of times with text such as "
        "'2020-01-31' or '2020-01-31T06:00:00Z'), in, is None, + - * / of numbers (an "
        "integer beyond 64 bits fails the shard), and the functions length (characters), "
        "size (bytes), lower, upper, contains, starts_with, ends_with and "
        "matches (RE2).",
    )
    drop: Text | None = Field(
        default=None, max_length=EXPRESSION_CAP, description="As `keep`: records for which it is true go."
    )
    min_length: Length | None = Field(
        default=None, description="Fewest characters of the column (bytes, if it is binary)."
    )
    max_length: Length | None = Field(default=None, description="Most of them.")
    normalise: Literal["NFC", "NFD", "NFKC", "NFKD"] | None = Field(
        default=None, description="Unicode normalisation of the column."
    )
    identify_language: Switch | None = Field(
        default=None,
        description="true: where `language` is not stated, identify it from the column (py3langid; needs "
        "skyhaul[language]); `und` where that is not sure.",
    )
    deduplicate: Text | None = Field(
        default=None,
        description="A column: of records of a shard with equal values in it, the first one stays.",
    )
    column: Text | None = Field(
        default=None,
        description="The column of min_length, max_length, normalise and identify_language. Default: text in "
        "documents, caption in images.",
    )
    name: Name | None = Field(
        default=None, description="What the records it takes out are counted under. Default: the rule itself."
    )

    @model_validator(mode="after")
    def _one(self) -> TransformSpec:
        found = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(found) != 1:
            raise NotAllowed(" and ".join(found) or "no rule", f"just one of {', '.join(KINDS)}")
        if self.column is not None and found[0] in ("keep", "drop", "deduplicate"):
            raise NotAllowed("column", f"no `column` beside {found[0]}")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def value(self) -> Any:
        return getattr(self, self.kind)

    @property
    def counted_as(self) -> str:
        """The rule's name in a commit record's `filtered_by`."""
        return self.name or f"{self.kind} {self.value}"

    def digested(self) -> dict[str, Any]:
        """What the plan's digest covers."""
        return self.model_dump(exclude_none=True)
