"""Installed packages that add a format, a source or a transform: found by entry points, loaded on demand.

A package says in its metadata (pyproject.toml) what it adds, and where the declaration is:

    [project.entry-points."skyhaul.formats"]
    cif = "acme_cif:FORMAT"

To find is to read that metadata; code of a package runs when a job or a plan names what it adds, and that
package's alone. What a plan uses stands in its fingerprint, as `skyhaul.formats:cif` -> `acme-cif 0.3.1`, so
that a plan knows which package it misses. What is built in does not: a plan without plug-ins imports none.
Metadata alone is read there, once, where a source has a URL: a package that claims its scheme is refused.

Entry points: https://packaging.python.org/en/latest/specifications/entry-points/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from skyhaul_schemas.errors import PlugInMissing, PlugInRefused
from skyhaul_schemas.printable import printable

FORMATS = "skyhaul.formats"
SOURCES = "skyhaul.sources"
TRANSFORMS = "skyhaul.transforms"

KINDS = {FORMATS: "format", SOURCES: "source scheme", TRANSFORMS: "transform"}
"""Group of entry points -> what one of them adds, for messages."""

Declaration = TypeVar("Declaration")


@dataclass(frozen=True, slots=True)
class PlugIn:
    """One entry point of an installed package.

    Attributes:
        group: FORMATS, SOURCES or TRANSFORMS.
        name: What a job file calls it.
        distribution: The package, as pip knows it.
        version: The package's version.
        target: Where the declaration is, as `module:attribute`.
    """

    group: str
    name: str
    distribution: str
    version: str
    target: str

    @property
    def package(self) -> str:
        """Name and version, as messages and fingerprints state them."""
        return f"{self.distribution} {self.version}"

    @property
    def fingerprint(self) -> dict[str, str]:
        """What a plan that uses it states among the versions that its bytes depend on."""
        return {f"{self.group}:{self.name}": self.package}

    def load(self, declaration: type[Declaration]) -> Declaration:
        """Import the package's module, and give what it declares.

        Raises:
            PlugInRefused: The import fails, whatever it raises, or gives something else than `declaration`.
        """
        # Imported late, here and below: a command that reads no metadata does not pay for its reader.
        from importlib.metadata import EntryPoint

        try:
            found = EntryPoint(self.name, self.target, self.group).load()
        except (Exception, SystemExit) as error:  # code of somebody else's, which may end the process, too
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise PlugInRefused(f"{self._said} cannot be loaded: {printable(why, 300)}") from error
        if not isinstance(found, declaration):
            raise PlugInRefused(
                f"{self._said}: {printable(self.target)} is a {type(found).__name__},"
                f" not a {declaration.__name__}"
            )
        return found

    @property
    def _said(self) -> str:
        return f"{KINDS[self.group]} {printable(self.name)!r} of package {printable(self.package)}"


@cache
def installed(group: str) -> tuple[PlugIn, ...]:
    """The plug-ins of all installed packages, by name and package. Imports none of them."""
    from importlib.metadata import entry_points

    # Kept as long as the process lives: a package that is installed meanwhile must not change a haul.
    found = (
        PlugIn(group, point.name, point.dist.name, point.dist.version, point.value)
        for point in entry_points(group=group)
        if point.dist is not None
    )
    # They come in the order of the import path, which differs from worker to worker; messages must not.
    return tuple(sorted(found, key=lambda plug_in: (plug_in.name, plug_in.distribution)))


def find(group: str, name: str) -> PlugIn | None:
    """The plug-in that adds `name`, not loaded; None: no installed package does.

    Raises:
        PlugInRefused: Several packages add it.
    """
    found = [plug_in for plug_in in installed(group) if plug_in.name == name]
    if len(found) > 1:
        raise _clash(found[0], [plug_in.package for plug_in in found])
    return found[0] if found else None


def refuse_clash(group: str, name: str) -> None:
    """Raise PlugInRefused where a package adds what is built in, too: `name` would say two things."""
    found = [plug_in for plug_in in installed(group) if plug_in.name == name]
    if found:
        raise _clash(found[0], ["skyhaul itself", *(plug_in.package for plug_in in found)])


def clashes(group: str, built_in: Collection[str]) -> dict[PlugIn, str]:
    """The plug-ins that are refused, since others add the same name, each with the reason. Imports none."""
    found: dict[PlugIn, str] = {}
    for plug_in in installed(group):
        try:
            if plug_in.name in built_in:
                refuse_clash(group, plug_in.name)
            find(group, plug_in.name)
        except PlugInRefused as error:
            found[plug_in] = str(error)
    return found


@dataclass(frozen=True, slots=True)
class Listed(Generic[Declaration]):
    """What a job may name here.

    Attributes:
        name: What a job file calls it.
        plug_in: Whence it comes; None: it is built in.
        declaration: What it says of itself; None where the plug-in is refused.
        problem: Why it is refused.
    """

    name: str
    plug_in: PlugIn | None = None
    declaration: Declaration | None = None
    problem: str | None = None


def listed(
    group: str, built_in: Mapping[str, Declaration], load: Callable[[PlugIn], Declaration]
) -> Iterator[Listed[Declaration]]:
    """All of a group, those built in first. Loads the declarations of every installed package's.

    Args:
        group: FORMATS, SOURCES or TRANSFORMS.
        built_in: Name -> declaration.
        load: Gives a plug-in's declaration. Raises PlugInRefused.
    """
    for name, declaration in built_in.items():
        yield Listed(name, declaration=declaration)
    refused = clashes(group, built_in)
    for plug_in in installed(group):
        if plug_in in refused:
            yield Listed(plug_in.name, plug_in, problem=refused[plug_in])
            continue
        try:
            yield Listed(plug_in.name, plug_in, load(plug_in))
        except PlugInRefused as error:
            yield Listed(plug_in.name, plug_in, problem=str(error))


def check_installed(fingerprint: Mapping[str, str]) -> None:
    """Check that the packages are here whose plug-ins a plan uses; none is loaded.

    Args:
        fingerprint: The plan's. Versions are not compared: `check_fingerprint` does that for all of it.

    Raises:
        PlugInMissing: One is not installed, and which.
        PlugInRefused: Another package adds the same name.
    """
    for key, package in fingerprint.items():
        # Libraries stand in the same mapping (`pyarrow`); only a plug-in's key has a group before a colon.
        group, colon, name = key.partition(":")
        if not colon or group not in KINDS:
            continue
        distribution, _, version = package.rpartition(" ")
        here = find(group, name)
        # Compared by package, too: another one may have taken the name, and would give other bytes.
        if here is None or here.distribution != distribution:
            other = "" if here is None else f"; here it is of package {printable(here.package)}"
            raise PlugInMissing(
                f"{KINDS[group]} {printable(name)!r} of this plan is of package {printable(package)}, which"
                f" is not installed{other}: pip install {printable(f'{distribution}=={version}')}"
            )


def names(group: str) -> Iterable[str]:
    """What the installed packages add, by name. Imports none of them."""
    return dict.fromkeys(plug_in.name for plug_in in installed(group))


def _clash(plug_in: PlugIn, packages: Iterable[str]) -> PlugInRefused:
    owners = " and ".join(map(printable, packages))
    return PlugInRefused(
        f"{KINDS[plug_in.group]} {printable(plug_in.name)!r} is claimed by {owners};"
        f" uninstall what is not meant (pip uninstall {printable(plug_in.distribution)})"
    )
