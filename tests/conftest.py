"""What every test may rely on."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure: examples are bounded in number, not in time. The gate draws the same ones each
# time, so that it says something of the change; runs by hand go on looking.
settings.register_profile(
    "skyhaul",
    deadline=None,
    print_blob=True,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("skyhaul")

ROOT = Path(__file__).resolve().parent.parent

_MEMORY = Path("/dev/shm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that fork come first: a child of a process in which gRPC's threads run (Beam starts them, and
    they stay) may die of that alone."""
    items.sort(key=lambda item: not hasattr(getattr(item, "module", None), "forked"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files beside the project; tests that need them are skipped where they are not."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("../shared/data is not there")
    return folder


@pytest.fixture
def ram_path(tmp_path: Path) -> Iterator[Path]:
    """A folder whose syncs cost nothing, where there is one; for hundreds of hauls in a row."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="skyhaul-test-", dir=_MEMORY) as folder:
        yield Path(folder)
