"""The job file's field types: how a YAML scalar becomes a size, a rate, a count …, and what an editor
is told of it. Each validator raises NotAllowed, which says what is allowed and not what was found."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from skyhaul_schemas.units import (
    NotAllowed,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)

COUNT_LIMIT = 1 << 63
_WHOLE = re.compile(r"[0-9]{1,19}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPLIT = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ENVIRONMENT = {"type": "string", "pattern": r"\$\{"}

NAMES = "1 to 64 letters, digits, '.', '_' and '-', with a letter or digit first"
SPLIT_NAMES = "1 to 32 lower-case letters, digits and '_', with a letter first"
OUTAGES = "START+LENGTH, such as 20s+5s (from the start of the haul), or a list of the two"


def _number(kind: str, examples: list[str]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": "string"}, {"type": kind}], "examples": examples})


def between(low: int, high: int) -> Callable[[Any], int]:
    """A validator of whole numbers, low <= n <= high; text comes from the environment."""

    def check(value: Any) -> int:
        if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            limit = f"a whole number from {low}" + (f" to {high}" if high < COUNT_LIMIT - 1 else "")
            raise NotAllowed(value, limit if low < high else str(low))
        return value

    return check


def whole_schema(low: int, high: int | None = None) -> WithJsonSchema:
    number: dict[str, Any] = {"type": "integer", "minimum": low}
    if high is not None:
        number["maximum"] = high
    return WithJsonSchema({"anyOf": [number, _ENVIRONMENT]})


def _switch(value: Any) -> bool:
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    found = words.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise NotAllowed(value, "true or false")
    return found


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise NotAllowed(value, "text; put it in quotes")
    if not isinstance(value, str) or not value:
        raise NotAllowed(value, "text")
    if "\0" in value:
        raise NotAllowed(value, "text without NUL")
    return value


def _checked_name(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise NotAllowed(value, allowed)
        return value

    return check


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _outage(value: Any) -> tuple[float, float]:
    if isinstance(value, str):
        value = value.split("+")
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise NotAllowed(value, OUTAGES)
    return parse_duration(value[0]), parse_duration(value[1])


def _burst(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        number = 0.0
    if isinstance(value, bool) or not 1 <= number <= 1e6:
        raise NotAllowed(value, "a number of packets from 1 to 1000000")
    return number


Size = Annotated[int, BeforeValidator(parse_size), _number("integer", ["64MiB", "1.5GB"])]
Rate = Annotated[float, BeforeValidator(parse_rate), WithJsonSchema({"type": "string"})]
Duration = Annotated[float, BeforeValidator(parse_duration), _number("integer", ["45ms", "10m"])]
Share = Annotated[float, BeforeValidator(parse_share), _number("number", ["0.4%", "0.004"])]
Seed = Annotated[int, BeforeValidator(between(0, COUNT_LIMIT - 1)), whole_schema(0)]
Connections = Annotated[int, BeforeValidator(between(1, 1024)), whole_schema(1, 1024)]
Burst = Annotated[float, BeforeValidator(_burst), _number("number", ["1", "8"])]
Switch = Annotated[
    bool, BeforeValidator(_switch), WithJsonSchema({"anyOf": [{"type": "boolean"}, _ENVIRONMENT]})
]
Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[
    list[Text],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
Name = Annotated[Text, AfterValidator(_checked_name(_NAME, NAMES))]
SplitName = Annotated[Text, AfterValidator(_checked_name(_SPLIT, SPLIT_NAMES))]
Outage = Annotated[
    tuple[float, float],
    BeforeValidator(_outage),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 2, "maxItems": 2}]}),
]
