"""The worker's image as far as it goes without an engine for images."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "examples" / "container"


def test_the_image_is_of_the_beam_that_the_project_is_bound_to() -> None:
    version = re.search(r"FROM apache/beam_python3\.11_sdk:(\S+)", (CONTAINER / "Dockerfile").read_text())
    assert version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bound = next(d for d in project["dependencies"] if d.startswith("apache-beam"))
    assert f">={version[1].rpartition('.')[0]}," in bound


def test_all_that_the_image_copies_is_there_or_built_as_its_head_says_and_is_sent_to_the_builder() -> None:
    text = (CONTAINER / "Dockerfile").read_text()
    sent = (ROOT / ".dockerignore").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert source.startswith("dist/") or (ROOT / source).exists()
            assert f"\n!{source}\n" in sent


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_wheel_installs_in_a_clean_environment_and_the_boot_command_answers(tmp_path: Path) -> None:
    """Fetches all dependencies, so it needs a package registry."""
    wheels, fresh = tmp_path / "dist", tmp_path / "venv"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(wheels),
        str(ROOT),
    ]
    subprocess.run(pip, check=True, timeout=200)
    (wheel,) = wheels.glob("skyhaul-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(fresh)], check=True, timeout=60)
    install = [
        fresh / "bin" / "pip",
        "install",
        "--quiet",
        "--constraint",
        ROOT / "constraints.txt",
        f"{wheel}[s3]",
    ]
    subprocess.run(list(map(str, install)), check=True, timeout=600)
    boot = [str(fresh / "bin" / "skyhaul-worker-boot"), "--check"]
    told = subprocess.run(boot, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    assert told.stdout.startswith("skyhaul ")
