"""The wheel that others install: licence, version, links, packages; and what it does not ask for."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Built with the backend that is installed, so that nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=100)
    (path,) = folder.glob("*.whl")
    return ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: ZipFile) -> Message:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    return BytesParser().parsebytes(wheel.read(name))


def test_the_licence_lies_in_the_wheel_as_in_the_tree(wheel: ZipFile, metadata: Message) -> None:
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/licenses/LICENSE"))
    assert wheel.read(name) == (ROOT / "LICENSE").read_bytes()
    assert b"Apache License\n                           Version 2.0" in wheel.read(name)
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_wheel_says_its_version_and_where_its_source_documentation_and_changes_are(
    metadata: Message,
) -> None:
    assert metadata["Version"] == PROJECT["version"]
    labels = {url.partition(",")[0] for url in metadata.get_all("Project-URL", [])}
    assert labels >= {"Source", "Documentation", "Changelog", "Issues"}


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## [")]
    released = [heading for heading in headings if not heading.startswith("## [Unreleased]")]
    assert released[0].startswith(f"## [{PROJECT['version']}] - ")


def test_the_wheel_holds_three_typed_packages_and_no_tests(wheel: ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" not in name}
    assert tops == {"skyhaul_schemas", "skyhaul_connectors", "skyhaul"}
    assert {f"{top}/py.typed" for top in tops} <= set(wheel.namelist())


def test_nothing_is_asked_for_that_only_tests_and_benchmarks_use(metadata: Message) -> None:
    wanted = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {r.name for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})}
    assert always.isdisjoint({"fastwarc", "vulture", "sphinx", "hatchling", "pytest"})
    assert "pyarrow" in always
