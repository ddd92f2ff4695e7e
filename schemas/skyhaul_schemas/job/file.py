"""Read a job file: YAML into the typed model, with errors that name key, found, allowed and line.

Values that come from the environment are secret: they reach the model and nothing else, no message and
no plan. `LoadedJob.text` is the file as written, with `${NAME}` in place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.literal_secrets import literal_secret
from skyhaul_schemas.job.model import AboutSpec, Job, LinkSpec, OwnSchemaSpec, ShardsSpec, SourceSpec
from skyhaul_schemas.job.transforms import KEYS
from skyhaul_schemas.job.yaml import TEXT_CAP, Problem, Tree, Where, read_tree, refuse
from skyhaul_schemas.printable import describe, printable
from skyhaul_schemas.reading import read_start
from skyhaul_schemas.storage_errors import unusable
from skyhaul_schemas.units import NotAllowed

_KINDS = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "model_attributes_type": "a mapping of keys",
    "too_short": "at least one entry",
}
"""What is allowed, by pydantic's type of error (https://docs.pydantic.dev/latest/errors/validation_errors/)."""

# To tell which keys there are beside an unknown one: pydantic's error names the place, not the model.
_PARTS: dict[str, type[BaseModel]] = {"sources": SourceSpec, "links": LinkSpec}
_MAPPINGS: dict[str, type[BaseModel]] = {"shards": ShardsSpec, "about": AboutSpec, "schema": OwnSchemaSpec}


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job file, read.

    Attributes:
        job: What it says.
        text: As written, secrets unresolved.
        path: Where it came from, for messages.
        secrets: The values that came from the environment, so that they can be kept out of artefacts.
        lines: Place of a value (its keys, from the top) -> its line, from 1.
    """

    job: Job = field(repr=False)
    text: str = field(repr=False)
    path: Path
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    lines: Mapping[Where, int] = field(default_factory=dict, repr=False, compare=False)

    def refused(self, problems: Iterable[tuple[Where, object, str]]) -> UsageError:
        """The error that says of each problem its line and place, what was found and what is allowed.

        For the registries of formats, transforms and schemes, whose names the model keeps as they are
        written.

        Args:
            problems: Place (keys from the top), found value and what is allowed. A place that is not in the
                file gets the line of what it would stand in.
        """
        told = []
        for where, found, allowed in problems:
            known = where
            while known and known not in self.lines:
                known = known[:-1]
            told.append(Problem(self.lines.get(known, 1), where, describe(found), allowed))
        return refuse(str(self.path), told)


def load_job(path: str | Path, env: Mapping[str, str]) -> LoadedJob:
    """Read the job file at `path`; `env` gives the values of `${NAME}`. Raises UsageError."""
    path = Path(path)
    shown = printable(str(path))
    try:
        # One byte more tells a file that is too long; its size is not asked for, for it may be a pipe.
        raw = read_start(path, TEXT_CAP + 1)
    except FileNotFoundError:
        raise UsageError(f"{shown}: no such file; name a job file (YAML) or a dataset folder") from None
    except IsADirectoryError:
        raise UsageError(f"{shown}: is a folder; name a job file (YAML)") from None
    except OSError as error:
        raise unusable(error, f"{shown}: cannot be read") from None
    except ValueError as error:
        raise UsageError(f"{shown}: cannot be read: {error}") from None
    if len(raw) > TEXT_CAP:
        raise UsageError(f"{shown}: found more than {TEXT_CAP} bytes, allowed: at most that")
    try:
        # Editors on Windows begin a file with a byte order mark.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{shown}:{line}: found bytes that are no UTF-8, allowed: UTF-8") from None
    return parse_job(text, str(path), env)


def parse_job(text: str, origin: str, env: Mapping[str, str]) -> LoadedJob:
    """As `load_job`, for text at hand; `origin` names it in messages. Raises UsageError."""
    tree = read_tree(text, origin, env)
    if not isinstance(tree.value, dict):
        allowed = "a mapping of keys, such as `version: 1`"
        raise refuse(origin, [Problem(1, (), describe(tree.value), allowed)])
    _take_as_written(tree)
    problems = list(_exposed(tree))
    job: Job | None = None
    try:
        # All of the file's faults are told at once, so nothing is raised before pydantic had its look, too.
        job = Job.model_validate(tree.value)
    except ValidationError as error:
        # An error's own text and its input may be secret, so it ends here.
        problems.extend(_problem(tree, details) for details in error.errors(include_url=False))
    if problems or job is None:
        raise refuse(origin, problems)
    return LoadedJob(job, text, Path(origin), frozenset(_secrets(tree, env)), tree.lines)


def json_schema() -> dict[str, Any]:
    """The job file's JSON Schema (draft 2020-12), for editors."""
    schema = Job.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "skyhaul job file",
    }


def _take_as_written(tree: Tree) -> None:
    """Numbers among `missing` stand for cells, whose text they have to be: `999.90` is not `999.9`."""
    for where, text in tree.written.items():
        # ("sources", name, "decode", "missing", index); a single value is no list and stays a number.
        if len(where) == 5 and (where[0], *where[2:4]) == ("sources", "decode", "missing"):
            cells = tree.value["sources"][where[1]]["decode"]["missing"]
            # By type and not isinstance: `true` stays a boolean.
            if type(cells[where[4]]) in (int, float):
                cells[where[4]] = text


def _secrets(tree: Tree, env: Mapping[str, str]) -> Iterator[str]:
    for names in tree.secret.values():
        for name in names:
            # An empty value is in every text: it would refuse every plan in which secrets are looked for.
            if env[name]:
                yield env[name]


def _exposed(tree: Tree) -> Iterator[Problem]:
    """Secrets that are written out, and values of the environment that would get into the plan."""
    for where, text in tree.written.items():
        if (found := literal_secret(where, text)) is not None:
            allowed = "${NAME}, taken from the environment; the job file is kept in the dataset"
            yield Problem(tree.lines[where], where, found, allowed)
    for where, names in tree.secret.items():
        kept = len(where) > 3 and where[0] == "sources" and where[2] in ("fields", "decode", "transforms")
        if kept or where[0] == "transforms" or (where[0] == "schema" and len(where) > 1):
            allowed = "a value written out, because it is kept in the plan"
            yield Problem(tree.lines[where], where, f"${{{names[0]}}}", allowed)


def _problem(tree: Tree, details: ErrorDetails) -> Problem:
    """One of pydantic's errors as ours."""
    kind, value = details["type"], details["input"]
    # `[key]` is pydantic's mark for a mapping's key itself, such as a source's name.
    where = tuple(part for part in details["loc"] if part != "[key]")
    if kind == "extra_forbidden":
        return Problem(_line(tree, where), where, "an unknown key", _nearest(where))
    if kind == "missing":
        return Problem(_line(tree, where[:-1]), where, "nothing", f"(required) {_meaning(where)}")
    known = _known(tree, where)
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, NotAllowed):
        value, allowed = cause.found, cause.allowed
    elif kind == "literal_error":
        allowed = str(details.get("ctx", {}).get("expected", details["msg"]))
    else:
        allowed = _KINDS.get(kind, "another kind of value")
    # Of all that lies below the place: where a list is refused as a whole, one of its items may be secret.
    names = [name for place, names in tree.secret.items() if place[: len(known)] == known for name in names]
    found = f"the value of ${{{names[0]}}}" if names else describe(value)
    if not names and isinstance(value, dict | list | tuple) and not value:
        found = f"an empty {'mapping' if isinstance(value, dict) else 'list'}"
    return Problem(_line(tree, known), known, found, allowed)


def _known(tree: Tree, where: Where) -> Where:
    """The longest part of `where` that stands in the file: pydantic numbers the one item of `via: leo`."""
    while where not in tree.lines:
        where = where[:-1]
    return where


def _line(tree: Tree, where: Where) -> int:
    return tree.lines[_known(tree, where)]


def _model(where: Where) -> type[BaseModel]:
    """The model whose keys stand at the place of `where`."""
    # `sources.NAME.key` and `shards.key`: the last part is the key itself.
    if len(where) == 3 and where[0] in _PARTS:
        return _PARTS[where[0]]
    if len(where) == 2 and where[0] in _MAPPINGS:
        return _MAPPINGS[where[0]]
    return Job


def _keys(where: Where) -> dict[str, str]:
    """The keys that may stand at the place of `where` -> what they mean."""
    if len(where) > 2 and where[-3] == "transforms":
        return KEYS
    model = _model(where)
    return {info.alias or name: info.description or "" for name, info in model.model_fields.items()}


def _nearest(where: Where) -> str:
    """The keys nearest to the unknown one, or all where none is near."""
    keys = list(_keys(where))
    return ", ".join(difflib.get_close_matches(str(where[-1]), keys, n=3, cutoff=0.6) or sorted(keys))


def _meaning(where: Where) -> str:
    return _keys(where).get(str(where[-1]), "a value.")
