"""`make` on a bare machine: it finds a Python, or says what is missing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", "-C", str(ROOT), *args], capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("target", ["demo", "test"])
def test_a_python_that_is_too_old_is_named_with_the_way_out(target: str, tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.18 && exit 0\nexit 1\n')
    old.chmod(0o755)
    done = make(f"PYTHON={old}", f"VENV={tmp_path}/venv", target)
    assert done.returncode == 2
    assert f"{old} is Python 3.9.18; skyhaul needs Python 3.11 or newer" in done.stderr
    assert "make PYTHON=/path/to/python3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_no_python_at_all_is_said_with_the_way_out(tmp_path: Path) -> None:
    done = make("CANDIDATES=no-such-python", f"VENV={tmp_path}/venv", "demo")
    assert done.returncode == 2
    assert "found none of: no-such-python" in done.stderr
    assert "apt install python3" in done.stderr


def test_what_is_set_up_is_not_set_up_again(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    for stamp in (".ready-demo", ".ready-dev"):
        (venv / stamp).touch()
    for stamp in (".ready-demo", ".ready-dev"):
        assert "up to date" in make(f"VENV={venv}", f"{venv}/{stamp}").stdout


def test_every_target_is_listed() -> None:
    text = make("help").stdout
    missing = [
        t
        for t in ("demo", "test", "lint", "dead", "types", "site", "bench", "clean", "constraints")
        if f"make {t} " not in text
    ]
    assert missing == []
