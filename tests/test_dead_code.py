"""What `make dead` passes over by name, it still has to pass over."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

from vulture import Vulture

ROOT = Path(__file__).resolve().parent.parent


def test_every_name_that_the_check_for_dead_code_passes_over_would_be_reported_without() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]
    checker = Vulture(ignore_decorators=settings["ignore_decorators"])
    checker.scavenge([ROOT / path for path in settings["paths"]])
    found = {item.name for item in checker.get_unused_code(min_confidence=settings["min_confidence"])}
    stale = [
        pattern
        for pattern in settings["ignore_names"]
        if not any(fnmatchcase(name, pattern) for name in found)
    ]
    assert stale == [], "used again, or gone: take them out of [tool.vulture] in pyproject.toml"


def test_a_function_that_nobody_calls_is_reported(tmp_path: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]
    (tmp_path / "room.py").write_text("def forgotten() -> None:\n    pass\n")
    checker = Vulture(ignore_names=settings["ignore_names"], ignore_decorators=settings["ignore_decorators"])
    checker.scavenge([tmp_path / "room.py"])
    assert [item.name for item in checker.get_unused_code(settings["min_confidence"])] == ["forgotten"]
