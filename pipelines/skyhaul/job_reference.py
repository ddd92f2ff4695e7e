"""The page docs/job.md: every key of a job file, with its type, unit, default, an example and what it means.

`python -m skyhaul.job_reference` prints it. All of it is said by the fields of the model
(`skyhaul_schemas.job`); names of formats, presets and transforms come from their registries.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from skyhaul.transforms.registry import TRANSFORMS
from skyhaul_connectors.formats.registry import FORMATS
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_schemas.job.fieldtypes import Kind
from skyhaul_schemas.job.model import (
    AboutSpec,
    ContractSpec,
    EmulationSpec,
    Job,
    ListedUrls,
    OwnSchemaSpec,
    RouteSpec,
    ShardsSpec,
    SharingSpec,
    SourceSpec,
)
from skyhaul_schemas.job.transforms import RULES, TransformSpec
from skyhaul_schemas.units import exact_size

_HEAD = """# The job file

Made of the program by `make docs`; tests hold it to it, and parse every example and default. A job file
is YAML (1.2's core schema, one document). An unknown key is refused, with those that are near.
`skyhaul schema` gives the same to editors. How the parts play together:
[README](../README.md#the-job-file); options of formats, below `decode:`: [formats.md](formats.md); links:
[links.md](links.md).

`${NAME}` is the value of an environment variable; `${file:/run/secrets/token}` is the text of a file (an
absolute path; UTF-8, at most 64 KiB, without the newlines at its end). Each process of a haul takes them for
itself, a worker from its own machine, and the values reach no plan, record, log or message. `$${` stands for
`${`. What is kept in the plan (`fields`, `decode`, `transforms`) takes none.

Where a value has a unit, it is the one in which it counts. Sizes are written with `kB`, `MB`, `GB`, `TB`
(powers of 1000) or `KiB`, `MiB`, `GiB`, `TiB` (of 1024), rates with `bit/s` or `B/s` and the same letters
before it, durations with `ms`, `s`, `m`, `h` and `d`, shares as `5%` or `0.05`."""


@dataclass(frozen=True, slots=True)
class Section:
    """Keys that stand at one place of a job file.

    Attributes:
        title: The heading.
        about: What they are, Markdown.
        fields: Key -> its field in the model.
        required: Whether keys without a default have to be there; else one of them.
    """

    title: str
    about: str
    fields: Mapping[str, FieldInfo]
    required: bool = True


def sections() -> list[Section]:
    """All of the page, in its order."""
    formats = ", ".join(f"`{name}`" for name in FORMATS)
    presets = ", ".join(f"`{name}`" for name in PRESETS)
    below = "Keys of a link, below `links:` and its name: "
    return [
        Section("The top", "Keys of the file itself.", _fields(Job)),
        Section(
            "schema as a mapping",
            "`schema:`, where it declares a record schema of the job's own ([schemas.md](schemas.md)).",
            _fields(OwnSchemaSpec),
        ),
        Section(
            "sources", f"Below `sources:`, a name, and these keys. Formats: {formats}.", _fields(SourceSpec)
        ),
        Section("url as a mapping", "`url:` of a source, where it names a list.", _fields(ListedUrls)),
        Section(
            "links: how fast, and when",
            f"{below}they override the preset's. Presets: {presets}.",
            _fields(EmulationSpec),
        ),
        Section("links: how it is reached", f"{below}the way there.", _fields(RouteSpec)),
        Section("links: caps, prices, hours", f"{below}its contract.", _fields(ContractSpec)),
        Section("links: several workers", f"{below}who shares it.", _fields(SharingSpec)),
        Section("shards", "Keys below `shards:`.", _fields(ShardsSpec)),
        Section(
            "transforms",
            "A list, at the top and below a source. A rule has just one of "
            + ", ".join(f"`{name}`" for name in TRANSFORMS)
            + ", or the name of a package's transform with a mapping of its options; beside it `name`, and"
            " `column` where a rule is about one.",
            _rules(),
            required=False,
        ),
        Section("about", "Keys below `about:`, for README.md and croissant.json.", _fields(AboutSpec)),
    ]


def page() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *(line for section in sections() for line in _lines(section))]) + "\n"


def example_of(key: str, info: FieldInfo) -> str:
    """The key with its example, as a line of a job file."""
    (value,) = info.examples or [None]
    return written(key, value)


def default_of(info: FieldInfo) -> str:
    """A key's default as a job file would write it; empty: it says nothing, or the key is required."""
    value = info.get_default(call_default_factory=True)
    if info.is_required() or value is None or value in ([], (), {}) or isinstance(value, BaseModel):
        return ""
    kind = kind_of(info)
    if isinstance(value, bool):
        return str(value).lower()
    if kind.unit == "bytes":
        return exact_size(value).replace(" ", "") if value else "0"
    # The one rate with a default, `min_rate`, is written in bytes a second: 8,000 bit/s are `1kB/s`.
    if kind.unit == "bit/s":
        return f"{value / 8000:g}kB/s"
    if kind.unit == "seconds":
        return f"{value / 60:g}m" if value % 60 == 0 else f"{value:g}s"
    return _flow(value)


def kind_of(info: FieldInfo) -> Kind:
    """What a key's value is."""
    return _kind(info.annotation, info.metadata)


def written(key: str, value: Any) -> str:
    """`key: value` in one line of YAML."""
    return f"{key}: {_flow(value)}"


def _flow(value: Any) -> str:
    # PyYAML ends a document of one plain scalar with `...`, and folds long lines unless told otherwise.
    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.strip().removesuffix("...").strip()


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _rules() -> dict[str, FieldInfo]:
    found = {kind: model.model_fields[kind] for kind, model in RULES.items()}
    return found | {key: RULES["min_length"].model_fields[key] for key in ("column", "name")}


def _lines(section: Section) -> Iterator[str]:
    yield from ("", f"## {section.title}", "", section.about, "")
    yield "| key | value | default | example | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for key, info in section.fields.items():
        kind = kind_of(info)
        value = f"{kind.name}, {kind.unit}" if kind.unit else kind.name
        default = default_of(info)
        # A rule's key is required in its own model; in a job file one of them is.
        shown = (
            "required" if info.is_required() and section.title != "transforms" else default and f"`{default}`"
        )
        cells = (f"`{key}`", value, shown, f"`{example_of(key, info)}`", info.description or "")
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _kind(annotation: Any, metadata: Any = ()) -> Kind:
    # The last one: `Name` is `Annotated[Text, …]`, and pydantic gives both kinds, the outer one behind.
    for said in reversed(list(metadata)):
        if isinstance(said, Kind):
            return said
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(args[0], args[1:])
    if origin in (Union, UnionType):
        kinds = [_kind(arg) for arg in args if arg is not type(None)]
        return Kind(" or ".join(kind.name for kind in kinds), kinds[0].unit)
    if origin is Literal:
        return Kind(", ".join(f"`{choice}`" for choice in args))
    if origin is list:
        return Kind(f"a list: {_kind(args[0]).name}", _kind(args[0]).unit)
    if origin is dict:
        return Kind(f"a mapping of {_kind(args[0]).name} to {_kind(args[1]).name}")
    return Kind(_PLAIN.get(annotation, "a mapping"))


_PLAIN = {str: "text", Any: "anything", TransformSpec: "a rule"}


if __name__ == "__main__":
    sys.stdout.write(page())
