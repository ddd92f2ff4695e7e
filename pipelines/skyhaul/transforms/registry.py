"""The transforms by name: those built in, and those of installed packages.

A transform of somebody else's package is found by its entry point and loaded where a job names it, that one
alone; its package stands in the plan's fingerprint where a rule uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from skyhaul.shards.transform_step import Transform
from skyhaul.transforms import duplicates, languages, length, normalisation, selection
from skyhaul.transforms.declaration import AnyTransform, Target, TransformDeclaration
from skyhaul.transforms.guard import Guarded
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused, SkyhaulError, ValueRefused
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.job.transforms import PlugInTransform, TransformSpec
from skyhaul_schemas.plugins import Listed, PlugIn
from skyhaul_schemas.printable import brief
from skyhaul_schemas.records import RecordSchema, schema_kind, shard_schema
from skyhaul_schemas.units import NotAllowed

TRANSFORMS_VERSION = 2
"""Raised whenever equal built-in rules would take other rows, or change them otherwise. One number for all of
them: which rules a plan has stands in its digest."""

TRANSFORMS: Mapping[str, AnyTransform] = {
    entry.name: entry
    for entry in (
        selection.KEEP,
        selection.DROP,
        length.MIN_LENGTH,
        length.MAX_LENGTH,
        normalisation.NORMALISE,
        languages.IDENTIFY_LANGUAGE,
        duplicates.DEDUPLICATE,
    )
}
"""The built-in transforms by name."""

_USUAL = {"document": "text", "image": "caption", "audio": "transcript"}
"""Schema -> the column of a rule that names none."""

Given = TypeVar("Given")


def build_transforms(specs: Sequence[TransformSpec], schema: RecordSchema) -> list[Transform]:
    """The rules in order, for one shard.

    Args:
        specs: As the job has them.
        schema: The record schema: its name, or one of the job's own.

    Raises:
        UsageError: A rule does not fit the schema, or its transform is unknown or refused.
    """
    rows = shard_schema(schema)
    usual = _USUAL.get(schema_kind(schema))
    return [_build(spec, Target(spec.transform, spec.counted_as, rows, usual)) for spec in specs]


def transforms_fingerprint(specs: Iterable[TransformSpec]) -> dict[str, str]:
    """Name -> version of what the rules' outcome depends on besides Arrow, packages of plug-ins included.

    A plan without rules states nothing, so that its digest is that of a release that knew no transforms.

    Raises:
        UsageError: A transform is unknown or refused, or needs a library that is not installed.
    """
    found: dict[str, str] = {}
    for name in sorted({spec.transform for spec in specs}):
        found["skyhaul.transforms"] = str(TRANSFORMS_VERSION)
        found.update(_theirs(name, declared(name).fingerprint))
        plug_in = _plug_in(name)
        if plug_in is not None:
            found.update(plug_in.fingerprint)
    return found


def declared(name: str) -> AnyTransform:
    """The declaration of the transform `name`.

    Raises:
        UsageError: There is none.
        PlugInRefused: A package's cannot be used.
    """
    if name in TRANSFORMS:
        return TRANSFORMS[name]
    plug_in = _plug_in(name)
    if plug_in is None:
        known = tuple(dict.fromkeys((*TRANSFORMS, *map(brief, plugins.names(plugins.TRANSFORMS)))))
        allowed = ", ".join(known)
        said = f"transform {brief(name)!r} is unknown, and no installed package adds it (allowed: {allowed})"
        raise ValueRefused(said, (name,), allowed=allowed, known=known, of_key=True)
    return _load(plug_in)


def check_transforms(job: Job) -> None:
    """Check the rules of a job, and that no package claims a built-in one's name.

    Raises:
        ValueRefused: An unknown transform, or an option, a column or an expression that it does not take.
        UsageError: A rule that does not fit the schema otherwise.
        PlugInRefused: Several packages add the same transform, or one cannot be loaded.
    """
    for where, rule in _places(job):
        if rule.transform in TRANSFORMS:
            plugins.refuse_clash(plugins.TRANSFORMS, rule.transform)
        with _below(where):
            build_transforms([rule], job.schema_)


def listed() -> Iterator[Listed[AnyTransform]]:
    """All transforms, the built-in ones first. Loads the declarations of every installed package's."""
    return plugins.listed(plugins.TRANSFORMS, TRANSFORMS, _load)


def _build(spec: TransformSpec, target: Target) -> Transform:
    entry = declared(spec.transform)
    if not isinstance(spec, PlugInTransform):
        with _below(("column",) if getattr(spec, "column", None) else (spec.kind,)):
            return entry.build(spec, target)
    options = _options(entry, spec)
    with _below((spec.plug_in, "column") if "column" in spec.options else (spec.plug_in,)):
        return Guarded(spec.plug_in, _theirs(spec.plug_in, lambda: entry.build(options, target)))


def _options(entry: AnyTransform, rule: PlugInTransform) -> BaseModel:
    model: type[BaseModel] = entry.options
    try:
        return model.model_validate(rule.options)
    except ValidationError as error:
        raise _option_refused(model, rule.plug_in, error) from None


def _option_refused(model: type[BaseModel], transform: str, error: ValidationError) -> ValueRefused:
    """The first of what is wrong with a rule's options."""
    first = error.errors(include_url=False)[0]
    where = (transform, *first["loc"])
    key = ".".join(brief(str(part)) for part in where)
    said, found = brief(first["msg"]).removeprefix("Value error, "), first["input"]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, NotAllowed):
        said, found = cause.allowed, cause.found
    elif first["type"] == "missing":
        said, found = "(required) a value", None
    elif first["type"] == "extra_forbidden":
        known = tuple(info.alias or name for name, info in model.model_fields.items())
        allowed = ", ".join(known) or "none"
        if len(first["loc"]) > 1:
            known, allowed = (), "none such"
        whole = f"transform option {key!r} is unknown (allowed: {allowed})"
        return ValueRefused(whole, where, allowed=allowed, known=known, of_key=True)
    return ValueRefused(f"transform option {key!r}: {said}", where, found, said)


@contextmanager
def _below(where: tuple[str | int, ...]) -> Iterator[None]:
    """What is refused inside stands below `where`."""
    try:
        yield
    except ValueRefused as error:
        raise error.below(*where) from error


def _places(job: Job) -> Iterator[tuple[tuple[str | int, ...], TransformSpec]]:
    """Each rule of a job with its place in the file."""
    for name, source in job.sources.items():
        for index, rule in enumerate(source.transforms):
            yield ("sources", name, "transforms", index), rule
    for index, rule in enumerate(job.transforms):
        yield ("transforms", index), rule


def _plug_in(name: str) -> PlugIn | None:
    return None if name in TRANSFORMS else plugins.find(plugins.TRANSFORMS, name)


def _load(plug_in: PlugIn) -> AnyTransform:
    entry: AnyTransform = plug_in.load(TransformDeclaration)
    if entry.name != plug_in.name:
        raise PlugInRefused(
            f"package {brief(plug_in.package)} declares transform {brief(entry.name)!r}"
            f" under the name {brief(plug_in.name)!r}"
        )
    return entry


def _theirs(name: str, call: Callable[[], Given]) -> Given:
    """Call code of the transform `name`; that of a package raises PlugInRefused where it breaks.

    What built-in code raises is a bug, and stays one.
    """
    if name in TRANSFORMS:
        return call()
    try:
        return call()
    except SkyhaulError:
        raise
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise PlugInRefused(f"transform {brief(name)!r} cannot be used: {brief(why)}") from error
