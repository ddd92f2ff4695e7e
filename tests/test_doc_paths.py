"""Files, folders, modules and make targets that the hand-written pages name are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from skyhaul_schemas import plugins

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for pattern in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md", "docs/adr/*.md")
    for page in ROOT.glob(pattern)
)
GENERATED = {"docs/cli.md", "docs/formats.md", "docs/job.md", "docs/schemas.md"}

SPOKEN = re.compile(r"`([^`\n]+)`|^ {4}(\S.*)$", re.M)
"""Code in a line, and lines of code that are indented."""
PATH = re.compile(
    r"(?:^|(?<=[\s\"'=]))(?:tests|docs|benchmarks|examples|schemas|connectors|pipelines)/[\w./-]*"
)
MODULE = re.compile(r"(?<![\w./-])skyhaul(?:_schemas|_connectors)?(?:\.[a-z_]+)+(?![\w/-])")
TOLD_TO_MAKE = re.compile(r"^New file `([^`]+)`", re.M)
TARGETS = re.compile(r"(?:^|(?<=\s))make ((?:[a-z-]+ ?)+)")


def spoken(page: str) -> list[str]:
    return ["".join(groups) for groups in SPOKEN.findall((ROOT / page).read_text())]


def told_to_make(page: str) -> list[str]:
    """The files that a page's steps tell the reader to write."""
    return TOLD_TO_MAKE.findall((ROOT / page).read_text())


def is_module(name: str) -> bool:
    """Whether it is a module, or a name in one."""
    parts = name.split(".")
    (root,) = (r for r in ("schemas", "connectors", "pipelines") if (ROOT / r / parts[0]).is_dir())
    path = ROOT / root / Path(*parts)
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    homes = (path.parent.with_suffix(".py"), path.parent / "__init__.py")
    told = rf"(?m)^(?:class|def|async def|from|import|[A-Z_]+\b).*\b{parts[-1]}\b"
    return any(re.search(told, home.read_text()) for home in homes if home.is_file())


@pytest.mark.parametrize("page", PAGES)
def test_every_path_that_a_page_names_is_there(page: str) -> None:
    named = {path.rstrip(".") for text in spoken(page) for path in PATH.findall(text)}
    named -= set(told_to_make(page))
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", [p for p in PAGES if p not in GENERATED])
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    named = {module for text in spoken(page) for module in MODULE.findall(text)}
    # Integers of the fingerprint are named like modules, and some are.
    named -= {"skyhaul.shards", "skyhaul.dealing", "skyhaul.fields", "skyhaul.image"}
    named -= set(plugins.KINDS)  # so are groups of entry points
    named -= {".".join(Path(path).with_suffix("").parts[1:]) for path in told_to_make(page)}
    assert [module for module in sorted(named) if not is_module(module)] == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_a_page_names_is_there(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = {
        target for text in spoken(page) for targets in TARGETS.findall(text) for target in targets.split()
    }
    assert named
    assert [target for target in sorted(named) if f"\n{target}:" not in makefile] == []
