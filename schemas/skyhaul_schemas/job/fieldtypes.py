"""The job file's field types: what a YAML scalar becomes, and what an editor is told of it.

Each validator raises NotAllowed, which says what is allowed and not what was found. Booleans are refused
wherever a number is wanted: to Python they are whole numbers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator, WithJsonSchema

from skyhaul_schemas.units import (
    NotAllowed,
    parse_duration,
    parse_rate,
    parse_share,
    parse_size,
)

COUNT_LIMIT = 1 << 63
"""Plans and records keep numbers in 64 bits, with a sign."""
# As many digits as such a number has: int() of a longer text costs the square of its length.
_WHOLE = re.compile(r"[0-9]{1,19}")
# A source's name begins every id (`source/object#offset`), so it holds no `/`.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# No `-`: it ends the split in a data file's name (`layout.data_file`).
_SPLIT = re.compile(r"[a-z][a-z0-9_]{0,31}")
# Linux's IFNAMSIZ is 16, its NUL included.
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]{0,14}")
_ENVIRONMENT = {"type": "string", "pattern": r"\$\{"}
"""For editors: any number or switch may be written `${NAME}`, which is text until the job is read."""

NAMES = "1 to 64 letters, digits, '.', '_' and '-', with a letter or digit first"
SPLIT_NAMES = "1 to 32 lower-case letters, digits and '_', with a letter first"
CEILINGS = "a share such as 5% or 0.05, a whole number of records, or {share: 5%, count: 1000}"
OUTAGES = "START+LENGTH, such as 20s+5s (from the start of the haul), or a list of the two"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value is, for docs/job.md; pydantic passes over it.

    Attributes:
        name: As people call it: `a size`.
        unit: In which the code holds it, where it has one: `bytes`.
    """

    name: str
    unit: str = ""


class JobPart(BaseModel):
    """Base of what a mapping in a job file is read into; unknown keys are refused."""

    # Inputs may be secrets: pydantic's own messages must not show them.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


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


def switch(value: Any) -> bool:
    """A switch, in one of the words that people write. Raises NotAllowed."""
    # `yes` and `on` are text to YAML 1.2, and values of the environment are text in any case.
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    found = words.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise NotAllowed(value, "true or false")
    return found


def _text(value: Any) -> str:
    # Not turned into text: `1.10` and `007` are 1.1 and 7 by now.
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise NotAllowed(value, "text; put it in quotes")
    if not isinstance(value, str) or not value:
        raise NotAllowed(value, "text")
    # Text is mostly a path or a URL, and the system's calls end at a NUL.
    if "\0" in value:
        raise NotAllowed(value, "text without NUL")
    return value


def _checked_name(pattern: re.Pattern[str], allowed: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise NotAllowed(value, allowed)
        return value

    return check


def is_name(text: str) -> bool:
    """Whether it is one as sources, links and rules have them: NAMES says which."""
    return _NAME.fullmatch(text) is not None


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _outage(value: Any) -> tuple[float, float]:
    if isinstance(value, str):
        value = value.split("+")
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise NotAllowed(value, OUTAGES)
    return parse_duration(value[0]), parse_duration(value[1])


def _bind(value: Any) -> str:
    text = _text(value)
    if not _INTERFACE.fullmatch(text) and not _is_address(text):
        raise NotAllowed(value, "an IP address of this machine, or the name of a network interface")
    return text


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def url_of(*schemes: str) -> Callable[[Any], str]:
    """A validator of URLs that begin with one of `schemes`."""

    def check(value: Any) -> str:
        text = _text(value)
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise NotAllowed(value, " or ".join(f"{scheme}://…" for scheme in schemes))
        return text

    return check


def _shared_by(value: Any) -> str:
    return "store" if value == "store" else url_of("redis", "rediss", "unix")(value)


def _base_urls(value: Any) -> str | dict[str, str]:
    check = url_of("http", "https")
    if isinstance(value, dict) and value and all(isinstance(name, str) for name in value):
        return {name: check(url) for name, url in value.items()}
    return check(value)


def _burst(value: Any) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except ValueError:
        number = 0.0
    if isinstance(value, bool) or not 1 <= number <= 1e6:
        raise NotAllowed(value, "a number of packets from 1 to 1000000")
    return number


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How many records may be rejected: a share of those read, a count, or both. None: no limit."""

    share: float | None = None
    count: int | None = None

    def to_json(self) -> dict[str, float | int]:
        found = {"share": self.share, "count": self.count}
        return {key: value for key, value in found.items() if value is not None}


def _ceiling(value: Any) -> Ceiling:
    if isinstance(value, Ceiling):
        return value
    if isinstance(value, dict):
        if not value or not value.keys() <= {"share", "count"}:
            raise NotAllowed(value, CEILINGS)
        share = parse_share(value["share"]) if "share" in value else None
        return Ceiling(share, between(0, COUNT_LIMIT - 1)(value["count"]) if "count" in value else None)
    # `1` is a record, `1.0` and `100%` are all of them.
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole or (isinstance(value, str) and _WHOLE.fullmatch(value.strip())):
        return Ceiling(count=between(0, COUNT_LIMIT - 1)(value))
    try:
        return Ceiling(share=parse_share(value))
    # Said anew, as in other fields of several forms: `parse_share` would tell of shares alone.
    except NotAllowed:
        raise NotAllowed(value, CEILINGS) from None


Size = Annotated[
    int, BeforeValidator(parse_size), _number("integer", ["64MiB", "1.5GB"]), Kind("a size", "bytes")
]
Rate = Annotated[
    float, BeforeValidator(parse_rate), WithJsonSchema({"type": "string"}), Kind("a rate", "bit/s")
]
Duration = Annotated[
    float, BeforeValidator(parse_duration), _number("integer", ["45ms", "10m"]), Kind("a duration", "seconds")
]
Share = Annotated[
    float, BeforeValidator(parse_share), _number("number", ["0.4%", "0.004"]), Kind("a share", "of 1")
]
Seed = Annotated[int, BeforeValidator(between(0, COUNT_LIMIT - 1)), whole_schema(0), Kind("a whole number")]
Connections = Annotated[
    int, BeforeValidator(between(1, 1024)), whole_schema(1, 1024), Kind("a whole number from 1 to 1024")
]
Burst = Annotated[
    float, BeforeValidator(_burst), _number("number", ["1", "8"]), Kind("a number from 1", "packets")
]
Switch = Annotated[
    bool,
    BeforeValidator(switch),
    WithJsonSchema({"anyOf": [{"type": "boolean"}, _ENVIRONMENT]}),
    Kind("`true` or `false`"),
]
Text = Annotated[str, BeforeValidator(_text), Kind("text")]
Texts = Annotated[
    list[Text],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    Kind("text, or a list of it"),
]
Name = Annotated[Text, AfterValidator(_checked_name(_NAME, NAMES)), Kind("a name")]
SplitName = Annotated[Text, AfterValidator(_checked_name(_SPLIT, SPLIT_NAMES)), Kind("a name")]
Bind = Annotated[str, BeforeValidator(_bind), Kind("an address, or a network interface")]
ProxyUrl = Annotated[str, BeforeValidator(url_of("http", "socks5")), Kind("a URL")]
SharedBy = Annotated[str, BeforeValidator(_shared_by), Kind("`store`, or a URL of Redis")]
BaseUrls = Annotated[
    str | dict[str, str],
    PlainValidator(_base_urls),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ]
        }
    ),
    Kind("a URL, or a mapping of source to URL"),
]
Outage = Annotated[
    tuple[float, float],
    BeforeValidator(_outage),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 2, "maxItems": 2}]}),
    Kind("START+LENGTH", "seconds"),
]
MaxRejects = Annotated[
    Ceiling,
    PlainValidator(_ceiling),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "number", "minimum": 0},
                {
                    "type": "object",
                    "properties": {
                        "share": {"anyOf": [{"type": "string"}, {"type": "number"}]},
                        "count": {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0}]},
                    },
                    "minProperties": 1,
                    "additionalProperties": False,
                },
            ],
            "examples": ["5%", 1000],
        }
    ),
    Kind("a share, a count, or both"),
]
