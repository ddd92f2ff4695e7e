"""constraints.txt pins every dependency of pyproject.toml, within its bounds."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    pins = {
        canonicalize_name(name): version
        for name, _, version in (
            line.partition("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line
        )
    }
    wrong = []
    for text in [
        *project["dependencies"],
        *extras["dev"],
        *extras["docs"],
        *extras["s3"],
        *extras["redis"],
        *extras["certify"],
        *extras["spark"],
        *extras["language"],
        *extras["bench"],
        *extras["sftp"],
        *extras["azure"],
        *extras["dataflow-test"],
    ]:
        wanted = Requirement(text)
        pin = pins.get(canonicalize_name(wanted.name))
        if pin is None or pin not in wanted.specifier:
            wrong.append(f"{text}: pinned {pin}")
    assert wrong == [], "run `make constraints`"
