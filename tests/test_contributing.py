"""CONTRIBUTING's steps are done as they are written, on a copy of this tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("schemas", "connectors", "pipelines")

_STEP = re.compile(
    r"^(?:(?P<how>New file|At the end of|In) `(?P<path>[^`]+)`"
    r"(?:, (?P<where>after|before) `(?P<line>[^`]+)`)?:\n\n)?"
    r"```(?P<kind>python|text|sh)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def section(title: str) -> str:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """This tree as a clone has it, with a `.venv` that is set up."""
    for name in (*SOURCES, "tests", "docs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    for stamp in (".ready-demo", ".ready-dev"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def follow(step: re.Match[str], tree: Path) -> None:
    """Do what one block of the page says; a command must end well."""
    how, text = step["how"], step["text"]
    if step["kind"] == "sh":
        # Not as a part of this run of pytest, and not on what is installed.
        env = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
        env["PYTHONPATH"] = os.pathsep.join(str(tree / name) for name in SOURCES)
        done = subprocess.run(text, shell=True, cwd=tree, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return
    assert how is not None, f"a block that says not where it goes:\n{text}"
    path = tree / step["path"]
    if how == "New file":
        assert not path.exists(), path
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    elif how == "At the end of":
        path.write_text(f"{path.read_text()}\n\n{text}")  # two empty lines, as between any two definitions
    else:
        line = step["line"] + "\n"
        there = path.read_text()
        assert there.count(line) == 1, f"{line!r} in {path}"
        # Before a definition with two empty lines between them.
        path.write_text(there.replace(line, line + text if step["where"] == "after" else f"{text}\n\n{line}"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("title", "page", "says"),
    [
        ("Add a format", "formats.md", "| lines | each line of a text |"),
        ("Add a transform", "job.md", "Characters of the column that stay."),
        ("Add a source", None, ""),
        ("Add a command", "cli.md", "## skyhaul columns"),
    ],
)
def test_what_is_added_in_five_steps_is_added_as_they_are_written(
    copy: Path, title: str, page: str | None, says: str
) -> None:
    text = section(title)
    assert re.findall(r"^\*\*(\d)\.", text, re.MULTILINE) == list("12345")
    steps = list(_STEP.finditer(text))
    assert len(steps) == text.count("\n```") / 2, "a block that this test does not understand"
    for step in steps:
        follow(step, copy)
    if page is not None:
        assert says in (copy / "docs" / page).read_text()
        assert says not in (ROOT / "docs" / page).read_text()
    for check in ("check", "format --check"):
        subprocess.run(
            [sys.executable, "-m", "ruff", *check.split(), "--no-cache", "."], cwd=copy, check=True
        )
    fresh = [str(copy / step["path"]) for step in steps if step["how"] == "New file"]
    typed = [path for path in fresh if "/tests/" not in path]
    env = {**os.environ, "MYPYPATH": os.pathsep.join(str(copy / name) for name in SOURCES)}
    subprocess.run([sys.executable, "-m", "mypy", *typed], cwd=copy, env=env, check=True)
