"""The transforms by name: those built in, and those of installed packages.

A transform of somebody else's package is found by its entry point and loaded where a job names it, that one
alone; its package stands in the plan's fingerprint where a rule uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from skyhaul.shards.transform_step import Transform
from skyhaul.transforms import duplicates, languages, length, normalisation, selection
from skyhaul.transforms.declaration import AnyTransform, Target, TransformDeclaration
from skyhaul.transforms.guard import Guarded
from skyhaul_schemas import plugins
from skyhaul_schemas.errors import PlugInRefused, SkyhaulError, UsageError
from skyhaul_schemas.job.file import LoadedJob
from skyhaul_schemas.job.transforms import PlugInTransform, TransformSpec
from skyhaul_schemas.plugins import PlugIn
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

_USUAL = {"document": "text", "image": "caption"}
"""Schema -> the column of a rule that names none."""

_ALLOWED = {
    "extra_forbidden": "none such",
    "missing": "(required) a value",
}
"""What is allowed, by pydantic's type of error; of others its own message says it."""

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
        allowed = dict.fromkeys((*TRANSFORMS, *map(brief, plugins.names(plugins.TRANSFORMS))))
        raise UsageError(
            f"transform {brief(name)!r} is unknown, and no installed package adds it"
            f" (allowed: {', '.join(allowed)})"
        )
    return _load(plug_in)


def check_transforms(loaded: LoadedJob) -> None:
    """Check what a job says of transforms of packages, and that no package claims a built-in rule's name.

    Raises:
        UsageError: With file, line and key: an unknown transform, or an option that it does not take.
        PlugInRefused: Several packages add the same transform, or one cannot be loaded.
    """
    for where, rule in _places(loaded):
        if rule.transform in TRANSFORMS:
            plugins.refuse_clash(plugins.TRANSFORMS, rule.transform)
        elif isinstance(rule, PlugInTransform):
            _check_options(loaded, (*where, rule.plug_in), rule)


@dataclass(frozen=True, slots=True)
class Listed:
    """A transform that a job may name here.

    Attributes:
        name: Its key in a job file.
        plug_in: Where it comes from; None: it is built in.
        declaration: None where the plug-in is refused.
        problem: Why it is refused.
    """

    name: str
    plug_in: PlugIn | None = None
    declaration: AnyTransform | None = None
    problem: str | None = None


def listed() -> Iterator[Listed]:
    """Yield all transforms, the built-in ones first; loads the declaration of every plug-in."""
    for entry in TRANSFORMS.values():
        yield Listed(entry.name, declaration=entry)
    refused = plugins.clashes(plugins.TRANSFORMS, TRANSFORMS)
    for plug_in in plugins.installed(plugins.TRANSFORMS):
        if plug_in in refused:
            yield Listed(plug_in.name, plug_in, problem=refused[plug_in])
            continue
        try:
            yield Listed(plug_in.name, plug_in, _load(plug_in))
        except PlugInRefused as error:
            yield Listed(plug_in.name, plug_in, problem=str(error))


def _build(spec: TransformSpec, target: Target) -> Transform:
    entry = declared(spec.transform)
    if not isinstance(spec, PlugInTransform):
        return entry.build(spec, target)
    # Code of somebody else's: guarded while it is built, and at each batch.
    options = _options(entry, spec)
    return Guarded(spec.plug_in, _theirs(spec.plug_in, lambda: entry.build(options, target)))


def _options(entry: AnyTransform, rule: PlugInTransform) -> BaseModel:
    model: type[BaseModel] = entry.options
    try:
        return model.model_validate(rule.options)
    except ValidationError as error:
        # Without lines of a job file, which a worker has not; planning has `_check_options` before.
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(brief(str(part)) for part in (rule.plug_in, *first["loc"]))
        raise UsageError(f"transform option {key!r}: {brief(first['msg'])}") from None


def _check_options(loaded: LoadedJob, where: tuple[str | int, ...], rule: PlugInTransform) -> None:
    try:
        declared(rule.plug_in).options.model_validate(rule.options)
    except PlugInRefused:
        raise
    except UsageError as error:
        raise loaded.refused([(where, f"{brief(rule.plug_in)!r}", str(error))]) from None
    except ValidationError as error:
        raise loaded.refused(_problems(where, error)) from None


def _problems(
    where: tuple[str | int, ...], error: ValidationError
) -> Iterator[tuple[tuple[str | int, ...], object, str]]:
    for details in error.errors(include_url=False):
        cause = details.get("ctx", {}).get("error")
        # What is missing has no input of its own: pydantic gives the mapping around it.
        value: object = details["input"] if details["type"] != "missing" else None
        allowed = _ALLOWED.get(details["type"], details["msg"])
        if isinstance(cause, NotAllowed):
            value, allowed = cause.found, cause.allowed
        yield (*where, *details["loc"]), value, brief(allowed)


def _places(loaded: LoadedJob) -> Iterator[tuple[tuple[str | int, ...], TransformSpec]]:
    """Each rule of a job with its place in the file."""
    for name, source in loaded.job.sources.items():
        for index, rule in enumerate(source.transforms):
            yield ("sources", name, "transforms", index), rule
    for index, rule in enumerate(loaded.job.transforms):
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
