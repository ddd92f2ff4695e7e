"""The page docs/formats.md: every format, what it gives, and every option that `decode:` takes.

`python -m skyhaul_connectors.formats.reference` prints it. What options mean is told by the docstrings of
their models (`key: meaning.`), their defaults and choices by the models themselves.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Literal, Union, get_args, get_origin

from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_connectors.formats.registry import FORMATS
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.units import format_size

_HEAD = """# Formats

Written by `make docs` from the program.

`own` among the schemas of a format is one that the job declares ([schemas.md](schemas.md)). A source's
`format:` names one; without it each object's suffix does, compression suffixes aside (`.gz`,
`.zst`, `.bz2`, `.xz`, `.lz4`). What is below `decode:` are the options of the source's format; a source of
mixed formats gives each the options that it knows. An unknown option is refused with those that are allowed.

```yaml
sources:
  buoys:
    url: https://station.example/buoys/*.txt
    format: csv
    decode: {delimiter: whitespace, comment: "#", missing: [MM, "-9999"]}
```

Installed packages add others ([plugins.md](plugins.md)); `skyhaul formats` lists all that are there.
"""


_RULES = {
    "How a source's columns become fields": "records.fields",
    "Values of a schema of the job's own": "records.casts",
    "Times as text": "records.iso_time",
    "Values that mean null": "records.missing",
    "The header of a table of text": "delimited.header",
    "Columns of one name": "records.same_names",
    "Values of tables in `metadata`": "columnar.text_columns",
}
"""Title -> the module below `formats` whose docstring tells it; its first line is about the module and left
out."""


def page() -> str:
    """The page as Markdown."""
    return "\n".join([_HEAD, *_overview(), *_shared(), *_formats(), *_rules()]) + "\n"


def _rules() -> Iterator[str]:
    """What holds for several formats, in the words of the modules that do it."""
    for title, name in _RULES.items():
        module = importlib.import_module(f"skyhaul_connectors.formats.{name}")
        _, _, said = (module.__doc__ or "").partition("\n\n")
        yield f"## {title}"
        yield ""
        yield said.strip()
        yield ""


def _overview() -> Iterator[str]:
    yield "| format | reads | schemas | suffixes |"
    yield "| --- | --- | --- | --- |"
    for entry in FORMATS.values():
        suffixes = " ".join(f"`{suffix}`" for suffix in entry.suffixes) or "none: name it"
        yield f"| {entry.name} | {entry.about} | {', '.join(entry.schemas)} | {suffixes} |"
    yield ""


def _shared() -> Iterator[str]:
    yield "## Options of every format that may be compressed"
    yield ""
    yield from _table(StreamOptions, frozenset())
    yield ""


def _formats() -> Iterator[str]:
    shared = frozenset(StreamOptions.model_fields)
    for entry in FORMATS.values():
        yield f"## {entry.name}"
        yield ""
        model, decoder = entry.load()
        # The module's docstring, and not the class's, because it is what a user has to know of the format.
        yield from ((sys.modules[decoder.__module__].__doc__ or "").strip(), "")
        if not issubclass(model, StreamOptions):
            yield from ("It is not read from a compressed stream.", "")
        if set(model.model_fields) - shared:
            yield from _table(model, shared)
        else:
            yield "No options of its own."
        yield ""


def _table(model: type[FormatOptions], without: frozenset[str]) -> Iterator[str]:
    yield "| option | default | values | meaning |"
    yield "| --- | --- | --- | --- |"
    said = meanings(model)
    for name, field in model.model_fields.items():
        if name not in without:
            # `Size` is `int` to its annotation; only its validators tell that a job writes `64MiB`.
            sized = any(part in field.metadata for part in get_args(Size)[1:])
            default = _value(field.get_default(call_default_factory=True))
            values = "a size such as `64MiB`" if sized else _values(field.annotation)
            yield f"| `{name}` | {default} | {values} | {said[name]} |"


def meanings(model: type[FormatOptions]) -> Mapping[str, str]:
    """Option -> what the docstrings of the model and its bases say of it, in sentences `key: meaning.`.

    Raises:
        KeyError: No docstring speaks of an option, so that `make docs` fails.
    """
    found: dict[str, str] = {}
    # From the bases down, so that a model may say otherwise what an inherited option means for it.
    for base in reversed(model.__mro__):
        fields = getattr(base, "model_fields", {})
        text = " ".join((vars(base).get("__doc__") or "").split())
        # A key begins a sentence, and several may share one (`a, b and c: …`). What stands before the first
        # key is a summary; a colon inside of a sentence is none of ours.
        parts = re.split(r"(?:^|(?<=\. ))([a-z_]+(?:(?:, | and )[a-z_]+)*): ", text)
        for keys, meaning in zip(parts[1::2], parts[2::2], strict=True):
            for key in re.split(r", | and ", keys):
                if key in fields:
                    found[key] = f"{meaning.strip()[:1].upper()}{meaning.strip()[1:]}"
    return {name: found[name] for name in model.model_fields}


def _value(value: object) -> str:
    if value is None or value in ({}, ()):
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(repr(part) for part in value)}]`"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value >= 1024 and value % 1024 == 0:
        return format_size(value)
    return "`tab`" if value == "\t" else f"`{value}`"


def _values(kind: object) -> str:
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    names = [_name(part) for part in parts if part is not type(None)]
    return " or ".join(dict.fromkeys(name for name in names if name))


def _name(kind: object) -> str:
    plain = {str: "text", int: "a number", float: "a number", bool: "`true`, `false`"}
    if isinstance(kind, type) and kind in plain:
        return plain[kind]
    origin = get_origin(kind)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(kind))
    if origin in (tuple, list, frozenset):
        return "a list"
    return "a mapping"


if __name__ == "__main__":
    sys.stdout.write(page())
