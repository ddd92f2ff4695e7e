"""`decode:` of a source: the options every format knows, and the check that names what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import brief

if TYPE_CHECKING:
    from skyhaul_schemas.records import RecordSchema

Options = TypeVar("Options", bound="FormatOptions")


class FormatOptions(BaseModel):
    """Base of every format's options; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of_schema: ClassVar[Mapping[str, str]] = {}
    """Option -> the one schema that it is for."""

    @classmethod
    def names(cls, schema: RecordSchema) -> list[str]:
        """The options that apply to `schema`."""
        return [name for name in cls.model_fields if cls.of_schema.get(name, schema) == schema]


def parse_options(model: type[Options], name: str, options: Mapping[str, Any]) -> Options:
    """Check `options` against the format's model.

    Raises:
        UsageError: An option is wrong; the message says which, what was found, and what is allowed.
    """
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        found_all = error.errors(include_url=False)
        # Of a value that may be of several kinds, the fault deepest inside is the one that was meant.
        first = max(
            (e for e in found_all if e["loc"][:1] == found_all[0]["loc"][:1]), key=lambda e: len(e["loc"])
        )
        key = ".".join(brief(str(part)) for part in first["loc"]) or "decode"
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(model.model_fields)) or "none"
            raise UsageError(
                f"decode option {key!r} is not one of format {name} (allowed: {allowed})"
            ) from None
        found = brief(repr(first["input"]))
        raise UsageError(f"decode option {key!r} of format {name}: {first['msg']}; found {found}") from None
