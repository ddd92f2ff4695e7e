"""YAML of a job file into plain values, each with its place; `${NAME}` and `${file:/path}` are put in.

The subset: one document, the scalars of YAML 1.2's core schema (so `no` and `2024-01-01` are text and
`12:30` is no number), keys as text, anchors and `<<` merges, no tags. Size, depth and the number of
values after expansion are capped, so that no job file costs more than its own text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.outside import FORMS, Outside
from skyhaul_schemas.printable import describe, printable
from skyhaul_schemas.units import NotAllowed

TEXT_CAP = 1024 * 1024
"""Bytes of a job file: people write kilobytes, and a wrong path may name anything. Chosen, not measured."""
DEPTH_CAP = 32
"""Composing and checking recurse, and Python allows 1,000 frames. A job file nests some six deep."""
VALUE_CAP = 50_000
"""Values in a job file once its aliases are expanded: ten lines, each ten times the one before, are 10^10."""

Where = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_OUTSIDE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NOTHING = re.compile(r"[-+]?[0.]*(?:[eE]|$)")
"""A number all of whose digits are 0, whatever its exponent."""
_DIGITS_CAP = 40
"""Characters of a number, more than one of 64 bits or a float needs. int() takes the square of its length,
and refuses more than 4,300 digits with an error of its own."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the implicit types of YAML 1.2's core schema."""


# A mapping of its own: SafeLoader's, with the words of YAML 1.1, is that of all other users of PyYAML, too.
_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
):
    # PyYAML looks patterns up by a scalar's first character, which of an empty scalar is "".
    _Loader.add_implicit_resolver(
        _TAG + _tag, re.compile(rf"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


class Place(NamedTuple):
    """A place in the file, both from 1; columns are counted in characters."""

    line: int
    column: int


START = Place(1, 1)


@dataclass(slots=True)
class Tree:
    """The file's `value`.

    places: where each value begins. keys: where the key of each begins that has one. written: scalars as they
    stand in the file. secret: those whose value came, in whole or part, from the environment, with the names
    that it came from."""

    value: Any = None
    places: dict[Where, Place] = field(default_factory=dict)
    keys: dict[Where, Place] = field(default_factory=dict)
    written: dict[Where, str] = field(default_factory=dict)
    """Scalars as they stand in the file, `${NAME}` in place: here secrets that are written out are found."""
    secret: dict[Where, tuple[str, ...]] = field(default_factory=dict)
    """Places whose value came, in whole or part, from outside of the file, with what names it between `${`
    and `}`, fit to print."""
    taken: set[str] = field(default_factory=set)
    """The values that came from outside."""

    def known(self, where: Where) -> Where:
        """The longest part of `where` that is in the file: pydantic numbers the one item of `via: leo`."""
        while where not in self.places:
            where = where[:-1]
        return where

    def place(self, where: Where) -> Place:
        """Where the value begins that `where` leads to, or what of it is there."""
        return self.places[self.known(where)]

    def key(self, where: Where) -> Place:
        """Where its key begins; of what has none, the value."""
        known = self.known(where)
        return self.keys.get(known, self.places[known])


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a job file; `found` is fit to print."""

    place: Place
    where: Where
    found: str
    allowed: str

    def text(self, origin: str) -> str:
        dotted = printable(".".join(map(str, self.where)))
        subject = f"{dotted}: " if dotted else ""
        line, column = self.place
        return f"{printable(origin)}:{line}:{column}: {subject}found {self.found}, allowed: {self.allowed}"


def refuse(origin: str, problems: list[Problem]) -> UsageError:
    """The error that lists `problems`, one a line, in the order of the file."""
    return UsageError("\n".join(p.text(origin) for p in sorted(problems, key=lambda p: p.place)))


def read_tree(text: str, origin: str, env: Mapping[str, str]) -> Tree:
    """Parse `text`. Raises UsageError with the places of what is wrong."""
    if len(text) > TEXT_CAP:
        raise UsageError(f"{printable(origin)}: found more than {TEXT_CAP} characters, allowed: at most that")
    _check_events(text, origin)
    with _parsing(text, origin) as loader:
        root = loader.get_single_node()
    if root is None:
        raise refuse(origin, [Problem(START, (), "an empty file", "a job file; it starts with `version: 1`")])
    builder = _Builder(Outside(env))
    builder.tree.value = builder.value(root, (), 0)
    builder.tree.places[()] = START  # what is missing in the file is missing from its start on
    if builder.problems:
        raise refuse(origin, builder.problems)
    builder.tree.taken = builder.outside.taken
    return builder.tree


@contextmanager
def _parsing(text: str, origin: str) -> Iterator[_Loader]:
    """A loader over `text`; what it raises becomes a UsageError with a place."""
    shown = printable(origin)
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        yield loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(mark)
        problem = printable(error.problem or "cannot be parsed")
        if error.context and error.context_mark and error.context_mark.line + 1 != place.line:
            problem += f" ({printable(error.context)} that starts in line {error.context_mark.line + 1})"
        raise UsageError(f"{shown}:{place.line}:{place.column}: not YAML: {problem}") from None
    except yaml.reader.ReaderError as error:
        place = place_at(text, error.position)
        reason = printable(str(error.reason))
        raise UsageError(f"{shown}:{place.line}:{place.column}: not YAML: {reason}") from None
    except (ValueError, OverflowError):
        # The scanner converts escapes and the %YAML directive without looking at their range.
        place = Place(loader.line + 1, loader.column + 1) if loader else START
        raise UsageError(
            f"{shown}:{place.line}:{place.column}: not YAML: a number or escape out of range"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def _check_events(text: str, origin: str) -> None:
    """Refuse depth and tags over the flat stream of events, before composing recurses into it."""
    depth = 0
    with _parsing(text, origin) as loader:
        while loader.check_event():
            event = loader.get_event()  # type: ignore[no-untyped-call]  # types-PyYAML left it out
            place = _place(event.start_mark)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEPTH_CAP:
                raise refuse(origin, [Problem(place, (), "nesting without end", f"a depth of {DEPTH_CAP}")])
            tag = getattr(event, "tag", None)
            if tag is not None:
                found = f"the tag {describe(tag)}"
                raise refuse(origin, [Problem(place, (), found, "plain YAML without tags")])


def place_at(text: str, position: int) -> Place:
    """The place of the character at `position` of `text`."""
    return Place(text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position))


def _place(mark: yaml.Mark | None) -> Place:
    return START if mark is None else Place(mark.line + 1, mark.column + 1)


def _encodable(text: str) -> bool:
    """Whether UTF-8 has `text`: an escape of YAML can name half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _holds(text: str) -> bool:
    """Whether a float has the number: 1e999 is beyond it, and of 1e-999 it would make 0."""
    number = float(text)
    return math.isfinite(number) and (number != 0 or _NOTHING.match(text) is not None)


class _Builder:
    """Nodes into plain values. PyYAML's own constructor forgets lines, and takes nothing from outside."""

    def __init__(self, outside: Outside) -> None:
        self.outside = outside
        self.tree = Tree()
        self.problems: list[Problem] = []
        self.count = 0
        self.overflowed = False

    def value(self, node: yaml.Node, where: Where, depth: int) -> Any:
        self.count += 1
        if self.count > VALUE_CAP or depth > DEPTH_CAP:
            if not self.overflowed:
                self._problem(node, where, "too many values", f"{VALUE_CAP}, with all aliases expanded")
            self.overflowed = True
            return None
        self.tree.places[where] = _place(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*where, i), depth + 1) for i, child in enumerate(node.value)]
        return self._scalar(node, where)

    def _mapping(self, node: yaml.MappingNode, where: Where, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        first: dict[str, Place] = {}
        for key, child in node.value:
            if key.tag == f"{_TAG}merge":
                merged.extend(child.value if isinstance(child, yaml.SequenceNode) else [child])
                continue
            name = self._key(key, where, first)
            if name is not None:
                self.tree.keys[(*where, name)] = first[name]
                found[name] = self.value(child, (*where, name), depth + 1)
        # Last, wherever `<<` stands: keys of the mapping itself win, then those of earlier bases.
        for base in merged:
            self._merge(base, where, depth, found)
        return found

    def _key(self, key: yaml.Node, where: Where, first: dict[str, Place]) -> str | None:
        """The text of a mapping's key; None where it cannot be one, or was in `first`, by place, before."""
        if not isinstance(key, yaml.ScalarNode):
            self._problem(key, where, "a key that is no text", "text as keys")
            return None
        name: str = key.value
        if not _encodable(name):
            self._problem(key, where, f"the key {describe(name)}", "characters that UTF-8 has")
            return None
        if name in first:
            allowed = f"each key once; it stands in line {first[name].line} already"
            self._problem(key, (*where, name), "the key again", allowed)
            return None
        first[name] = _place(key.start_mark)
        return name

    def _merge(self, base: yaml.Node, where: Where, depth: int, found: dict[str, Any]) -> None:
        if not isinstance(base, yaml.MappingNode):
            self._problem(base, where, "`<<` of something else", "`<<: *name` of a mapping")
            return
        present = set(found)
        first: dict[str, Place] = {}
        for key, child in base.value:
            if key.tag == f"{_TAG}merge":
                self._problem(key, where, "`<<` within `<<`", "one level of merging")
                continue
            name = self._key(key, where, first)
            if name is not None and name not in present:
                self.tree.keys[(*where, name)] = first[name]
                found[name] = self.value(child, (*where, name), depth + 1)

    def _scalar(self, node: yaml.Node, where: Where) -> Any:
        text: str = node.value
        self.tree.written[where] = text
        kind = node.tag.removeprefix(_TAG)
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        if kind == "int" and len(text) <= _DIGITS_CAP:
            return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if kind == "float" and len(text) <= _DIGITS_CAP and _holds(text):
            return float(text)
        if kind in ("int", "float"):
            allowed = f"a number of at most {_DIGITS_CAP} characters, from 1e-307 to 1e308"
            self._problem(node, where, describe(text), allowed)
            return None
        if not _encodable(text):
            self._problem(node, where, describe(text), "characters that UTF-8 has")
            return None
        return self._resolve(node, text, where)

    def _resolve(self, node: yaml.Node, text: str, where: Where) -> str:
        """Put in what `${NAME}` and `${file:/path}` stand for; `$${` stands for `${`."""
        names: list[str] = []

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name is None:
                return "${"
            try:
                if not match[0].endswith("}"):
                    raise NotAllowed(describe(match[0]), FORMS)
                value = self.outside.value(name)
            except NotAllowed as error:
                self._problem(node, where, str(error.found), error.allowed)
                return ""
            names.append(printable(name))
            # Not looked at again: a `${` in a value from outside is plain text.
            return value

        resolved = _OUTSIDE.sub(replace, text)
        if names:
            self.tree.secret[where] = tuple(names)
        return resolved

    def _problem(self, node: yaml.Node, where: Where, found: str, allowed: str) -> None:
        self.problems.append(Problem(_place(node.start_mark), where, found, allowed))
