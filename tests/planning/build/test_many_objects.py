"""Planning holds neither listing nor plan in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("many_objects.py")
MB = 1000**2


def plan_of(folder: Path, count: int) -> dict[str, Any]:
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), str(count)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["objects"], found["chunks"]) == (count, count)
    assert found["left_in_spool"] == 0
    return found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_hundred_thousand_objects_are_planned_and_read_in_bounded_memory(tmp_path: Path) -> None:
    """The caches fill at first; from then on ten times the objects cost hardly a byte more."""
    some = plan_of(tmp_path / "some", 60_000)
    many = plan_of(tmp_path / "many", 200_000)
    print(some, many)
    assert many["grown_bytes"] < 130 * MB
    assert many["peak_bytes"] - some["peak_bytes"] < 50 * MB


def test_five_thousand_objects_are_planned_and_read_in_little_memory(tmp_path: Path) -> None:
    found = plan_of(tmp_path / "some", 5_000)
    assert found["grown_bytes"] < 60 * MB
