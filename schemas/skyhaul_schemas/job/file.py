"""Read a job file: YAML into the typed model, with errors that name key, found, allowed, line and column.

Values that come from outside (`job.outside`) are secret: they reach the model and nothing else, no message
and no plan. `LoadedJob.text` is the file as written, with `${NAME}` and `${file:/path}` in place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from skyhaul_schemas.errors import UsageError, ValueRefused
from skyhaul_schemas.job.literal_secrets import literal_secret
from skyhaul_schemas.job.model import AboutSpec, Job, LinkSpec, OwnSchemaSpec, ShardsSpec, SourceSpec
from skyhaul_schemas.job.transforms import KEYS
from skyhaul_schemas.job.yaml import START, TEXT_CAP, Problem, Tree, Where, place_at, read_tree, refuse
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

Parameters = ParamSpec("Parameters")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A job file, read.

    Attributes:
        job: What it says.
        text: As written, secrets unresolved.
        path: Where it came from, for messages.
        secrets: The values that came from outside, so that they can be kept out of artefacts.
        tree: Where each value stands in the file, and which came from outside.
    """

    job: Job = field(repr=False)
    text: str = field(repr=False)
    path: Path
    secrets: frozenset[str] = field(default=frozenset(), repr=False)
    tree: Tree = field(default_factory=lambda: Tree(places={(): START}), repr=False, compare=False)

    @contextmanager
    def placed(self) -> Iterator[None]:
        """Say of a value that is refused inside where it stands in the file. Raises UsageError."""
        try:
            yield
        except ValueRefused as error:
            raise self.refused([error]) from None

    def refused(self, errors: Iterable[ValueRefused]) -> UsageError:
        """The error that says where each value stands, what was found and what is allowed, one a line."""
        return refuse(str(self.path), [self._problem(error) for error in errors])

    def _problem(self, error: ValueRefused) -> Problem:
        where, known = error.where, self.tree.known(error.where)
        while where != known and isinstance(where[-1], int):
            where = where[:-1]  # the one item of what may be a list
        if error.of_key:
            names: list[str] = []
            place, found = self.tree.key(where), "an unknown key"
        else:
            names = _environment(self.tree, known)
            place = self.tree.place(where)
            found = f"the value of ${{{names[0]}}}" if names else describe(error.found)
        # What is near to a secret says something of it.
        near = "" if names else nearest(str(where[-1] if error.of_key else error.found), error.known)
        return Problem(place, where, found, near or error.allowed)


def placing(
    function: Callable[Concatenate[LoadedJob, Parameters], Given],
) -> Callable[Concatenate[LoadedJob, Parameters], Given]:
    """`function`, which takes a job, so that what it refuses of that is told as `LoadedJob.placed` does."""

    @wraps(function)
    def placed(loaded: LoadedJob, /, *args: Parameters.args, **others: Parameters.kwargs) -> Given:
        with loaded.placed():
            return function(loaded, *args, **others)

    return placed


def load_job(path: str | Path, env: Mapping[str, str]) -> LoadedJob:
    """Read the job file at `path`; `env` gives the values of `${NAME}`.

    Raises:
        UsageError: It cannot be read, or says what it may not.
        StorageError: A disk fails for now.
    """
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
        line, column = place_at(raw.decode("utf-8", "replace"), len(raw[: error.start].decode("utf-8-sig")))
        raise UsageError(f"{shown}:{line}:{column}: found bytes that are no UTF-8, allowed: UTF-8") from None
    return parse_job(text, str(path), env)


def parse_job(text: str, origin: str, env: Mapping[str, str]) -> LoadedJob:
    """As `load_job`, for text at hand; `origin` names it in messages. Raises UsageError."""
    tree = read_tree(text, origin, env)
    if not isinstance(tree.value, dict):
        allowed = "a mapping of keys, such as `version: 1`"
        raise refuse(origin, [Problem(START, (), describe(tree.value), allowed)])
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
    # Without an empty value: it is in every text, and every plan would be refused for it.
    return LoadedJob(job, text, Path(origin), frozenset(tree.taken - {""}), tree)


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


def _exposed(tree: Tree) -> Iterator[Problem]:
    """Secrets that are written out, and values from outside that would get into the plan."""
    for where, text in tree.written.items():
        if (found := literal_secret(where, text)) is not None:
            allowed = (
                "${NAME}, taken from the environment, or ${file:/path}; the job file is kept in the dataset"
            )
            yield Problem(tree.places[where], where, found, allowed)
    for where, names in tree.secret.items():
        kept = len(where) > 3 and where[0] == "sources" and where[2] in ("fields", "decode", "transforms")
        if kept or where[0] == "transforms" or (where[0] == "schema" and len(where) > 1):
            allowed = "a value written out, because it is kept in the plan"
            yield Problem(tree.places[where], where, f"${{{names[0]}}}", allowed)


def _problem(tree: Tree, details: ErrorDetails) -> Problem:
    """One of pydantic's errors as ours."""
    kind, value = details["type"], details["input"]
    # `[key]` is pydantic's mark for a mapping's key itself, such as a source's name.
    where = tuple(part for part in details["loc"] if part != "[key]")
    if kind == "extra_forbidden":
        return Problem(tree.key(where), where, "an unknown key", _nearest(where))
    if kind == "missing":
        return Problem(tree.key(where[:-1]), where, "nothing", f"(required) {_meaning(where)}")
    known = tree.known(where)
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, NotAllowed):
        value, allowed = cause.found, cause.allowed
    elif kind == "literal_error":
        allowed = str(details.get("ctx", {}).get("expected", details["msg"]))
    elif kind == "string_too_long":
        allowed = f"at most {details['ctx']['max_length']} characters"
    else:
        allowed = _KINDS.get(kind, "another kind of value")
    names = _environment(tree, known)
    found = f"the value of ${{{names[0]}}}" if names else describe(value)
    if not names and isinstance(value, dict | list | tuple) and not value:
        found = f"an empty {'mapping' if isinstance(value, dict) else 'list'}"
    place = tree.key(known) if "[key]" in details["loc"] else tree.places[known]
    return Problem(place, known, found, allowed)


def _environment(tree: Tree, where: Where) -> list[str]:
    """The names of the environment that the value at `where` holds something of."""
    return [name for place, names in tree.secret.items() if place[: len(where)] == where for name in names]


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
    return nearest(str(where[-1]), keys) or ", ".join(sorted(keys))


def nearest(name: str, known: Iterable[str]) -> str:
    """Those of the `known` names that are most like `name`, for a message; empty where none is like it."""
    return ", ".join(difflib.get_close_matches(name, list(known), n=3, cutoff=0.6))


def _meaning(where: Where) -> str:
    return _keys(where).get(str(where[-1]), "a value.")
