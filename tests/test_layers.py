"""Imports run one way: schemas ← links ← sources ← transfer ← formats ← pipelines; and so they do inside of
each package, between its folders and the modules beside these. No folder holds more than can be looked over.

Read from the syntax trees, so that an import inside a function or under TYPE_CHECKING counts too.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = ("schemas", "connectors", "pipelines")

LAYERS = (
    "skyhaul_schemas",
    "skyhaul_connectors",
    "skyhaul_connectors.links",
    "skyhaul_connectors.sources",
    "skyhaul_connectors.transfer",
    "skyhaul_connectors.formats",
    "skyhaul",
)
"""Lowest first. The bare `skyhaul_connectors` is its `__init__`, which all connectors pass through, and
`durable`, which all of them may use."""

SCHEMAS_MAY_IMPORT = {"pyarrow", "pydantic", "pydantic_core", "yaml"}
CONNECTORS_NEVER_IMPORT = {"apache_beam"}
COMMAND_LINE_ONLY = {"click", "rich"}


FOLDERS = {
    "skyhaul_schemas": ("job",),
    "skyhaul_connectors.links": ("profile", "contract", "sharing", "emulation"),
    "skyhaul_connectors.sources": (
        "catalogue", "over_link", "local", "memory", "http", "fsspec", "s3",
    ),
    "skyhaul_connectors.transfer": ("schedule", "spool"),
    "skyhaul_connectors.formats": (
        "charsets", "bytes", "isolated", "records", "media", "web", "text", "json", "delimited", "columnar",
        "archive",
    ),
    "skyhaul.dataset": ("storage", "commits"),
    "skyhaul.planning": ("store", "build"),
    "skyhaul.hauling": ("links", "finish"),
    "skyhaul": (
        "dataset", "worker", "shards", "transforms", "planning", "rows", "derived", "verification", "certify",
        "hauling", "beam",
    ),
}  # fmt: skip
"""Of a package its folders, lowest first: one may import those before it. (Others have no say in it.)"""

MOST_FILES = 20
"""That a newcomer looks over at one level (issue trackers and editors show some twenty names at a glance)."""

COMMANDS_AND_REPORTS = {"skyhaul.cli", "skyhaul.report"}
"""Have a file for each command, however many commands there are."""

MOST_LINES = 400


@cache
def modules() -> dict[str, Path]:
    found = {}
    for root in SOURCE_ROOTS:
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = path.relative_to(ROOT / root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(source: str, module: str, *, package: bool) -> Iterator[tuple[str, int]]:
    """(imported module, line) of every import statement and every import by a literal name."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield alias.name, node.lineno
            case ast.ImportFrom(module=base, names=names, level=level):
                parts = module.split(".")
                up = parts[: len(parts) - level + package] if level else []
                full = ".".join([*up, *([base] if base else [])])
                yield full, node.lineno
                for alias in names:  # `from package import module` reaches the module too
                    yield f"{full}.{alias.name}", node.lineno
            case ast.Call(
                func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name, node.lineno


def layer_of(name: str) -> int | None:
    """Place of `name` in LAYERS, by its longest matching prefix; None for what is not ours."""
    places = [i for i, layer in enumerate(LAYERS) if name == layer or name.startswith(layer + ".")]
    return max(places, key=lambda i: len(LAYERS[i])) if places else None


def breaches(source: str, module: str, *, package: bool = False) -> list[str]:
    own = layer_of(module)
    assert own is not None, f"{module} lies outside the layers"
    found = []
    for name, line in imports_of(source, module, package=package):
        top = name.partition(".")[0]
        other = layer_of(name)
        if other is not None and other > own:
            found.append(f"{module}:{line} imports {name}, which lies above it")
        if top in sys.stdlib_module_names or other is not None:
            continue
        if module.startswith("skyhaul_schemas") and top not in SCHEMAS_MAY_IMPORT:
            found.append(f"{module}:{line} imports {top}; schemas may import {sorted(SCHEMAS_MAY_IMPORT)}")
        if module.startswith("skyhaul_connectors") and top in CONNECTORS_NEVER_IMPORT | COMMAND_LINE_ONLY:
            found.append(f"{module}:{line} imports {top}; connectors know no Beam and no terminal")
        if (
            top in COMMAND_LINE_ONLY
            and module.startswith("skyhaul.")
            and not module.startswith(("skyhaul.cli", "skyhaul.report"))
        ):
            found.append(f"{module}:{line} imports {top}; only cli and report talk to a terminal")
    return found


def test_every_module_lies_in_a_layer() -> None:
    found = modules()
    assert len(found) > 20, "the source roots were not found"
    assert [name for name in found if layer_of(name) is None] == []


def test_imports_run_one_way() -> None:
    found = [
        breach
        for name, path in modules().items()
        for breach in breaches(path.read_text(), name, package=path.name == "__init__.py")
    ]
    assert found == []


@cache
def graph() -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    found = modules()
    return {
        name: {
            other
            for other, _ in imports_of(path.read_text(), name, package=path.name == "__init__.py")
            if other in found and other != name
        }
        for name, path in found.items()
    }


def circle(arrows: Mapping[str, set[str]]) -> list[str]:
    """Names that lie on a circle of `arrows`, empty where there is none."""
    try:
        tuple(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def inside(package: str, arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """The arrows between what lies directly in `package`: its folders, each as one, and its modules."""

    def child(name: str) -> str | None:
        return name[len(package) + 1 :].partition(".")[0] if name.startswith(package + ".") else None

    found: dict[str, set[str]] = {}
    for name, others in arrows.items():
        if (own := child(name)) is not None:
            found.setdefault(own, set()).update({c for o in others if (c := child(o)) not in (None, own)})
    return found


def packages() -> list[str]:
    return sorted(name for name, path in modules().items() if path.name == "__init__.py")


def test_no_modules_import_each_other() -> None:
    # `from package import module` counts as an import of the package too, which is not meant.
    assert circle({name: others - set(packages()) for name, others in graph().items()}) == []


@pytest.mark.parametrize("package", packages())
def test_folders_and_modules_of_a_package_import_one_way(package: str) -> None:
    arrows = inside(package, graph())
    assert circle(arrows) == []
    order = FOLDERS.get(package, ())
    for place, folder in enumerate(order):
        assert folder in arrows, f"{package} has no folder {folder}"
        assert not arrows[folder] & set(order[place + 1 :]), f"{package}.{folder} imports what lies above it"


def test_a_circle_is_seen() -> None:
    assert circle({"a.b.x": {"a.c.y"}, "a.c.y": set()}) == []
    assert inside("a", {"a.b.x": {"a.c.y"}, "a.c.z": {"a.b.w", "d"}}) == {"b": {"c"}, "c": {"b"}}
    assert circle({"b": {"c"}, "c": {"b"}})


@pytest.mark.parametrize("package", packages())
def test_a_folder_can_be_looked_over(package: str) -> None:
    files = list(modules()[package].parent.glob("*.py"))
    assert package in COMMANDS_AND_REPORTS or len(files) <= MOST_FILES, f"{package} has {len(files)} files"


def all_tests() -> list[Path]:
    """The tests, and what helps them."""
    found = sorted((ROOT / "tests").rglob("*.py"))
    assert len(found) > 100, "the tests were not found"
    return found


def test_a_folder_of_tests_can_be_looked_over() -> None:
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in all_tests())
    assert {folder: count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_a_module_can_be_read_at_one_sitting() -> None:
    files = {**modules(), **{path.relative_to(ROOT).as_posix(): path for path in all_tests()}}
    lines = {name: path.read_text().count("\n") for name, path in files.items()}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("skyhaul_connectors.links.profile.profile", "from skyhaul_connectors.sources import protocol"),
        ("skyhaul_connectors.links.profile.profile", "from skyhaul_connectors import sources"),
        ("skyhaul_connectors.sources.http", "def f():\n    import skyhaul_connectors.transfer.engine_thread"),
        (
            "skyhaul_connectors.transfer.engine_thread",
            "import importlib\nimportlib.import_module('skyhaul.hauling')",
        ),
        ("skyhaul_connectors.formats.text.decoder", "def f():\n    import apache_beam as beam"),
        ("skyhaul_schemas.plan", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy"),
        ("skyhaul_connectors.links.profile.profile", "from ...sources import protocol"),
        ("skyhaul.hauling.run", "def f():\n    from rich.console import Console"),
    ],
)
def test_a_breach_is_seen(module: str, source: str) -> None:
    assert breaches(source, module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("skyhaul_connectors.formats.text.decoder", "from skyhaul_connectors.transfer import engine"),
        ("skyhaul_schemas.job.model", "from pydantic import BaseModel\nimport yaml, re"),
        ("skyhaul.cli.commands.run", "import click\nimport skyhaul_schemas.errors"),
        ("skyhaul.beam.transforms", "import apache_beam as beam"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert breaches(source, module) == []
