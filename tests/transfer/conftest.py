"""Folders for tests of the transfer."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")


@pytest.fixture
def ram_path(tmp_path: Path) -> Iterator[Path]:
    """A folder whose syncs cost nothing, where there is one; for hundreds of hauls in a row."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="skyhaul-test-", dir=_MEMORY) as folder:
        yield Path(folder)
