"""`decode:` of a source: the options every format knows, and the check that names what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from skyhaul_schemas.errors import ValueRefused
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
            raise unknown_option(name, key, first["loc"], sorted(model.model_fields)) from None
        found, said = brief(repr(first["input"])), brief(first["msg"])
        raise ValueRefused(
            f"decode option {key!r} of format {name}: {said}; found {found}",
            ("decode", *first["loc"]),
            first["input"],
            first.get("ctx", {}).get("expected") or said.removeprefix("Value error, "),
        ) from None


def unknown_option(format: str, key: str, where: tuple[str | int, ...], known: Sequence[str]) -> ValueRefused:
    """The error for an option that the format, or a mapping below one of its options, does not have.

    Args:
        format: The format's name.
        key: The option, fit to print.
        where: It below `decode`.
        known: The options that the format has.
    """
    allowed = ", ".join(known) or "none"
    return ValueRefused(
        f"decode option {key!r} is not one of format {format} (allowed: {allowed})",
        ("decode", *where),
        allowed=allowed if len(where) == 1 else "none such",
        known=tuple(known) if len(where) == 1 else (),
        of_key=True,
    )
