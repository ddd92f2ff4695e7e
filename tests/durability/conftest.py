"""One rehearsal for a module's tests, in memory where there is some; its share of a campaign."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from durability.scenario import Rehearsal
from durability.trace import compiler

State = TypeVar("State")


class Campaign(Protocol):
    """Judges states one by one, as many as fit into its `share` of SKYHAUL_DURABILITY_SECONDS (all, where
    that is not set), and fails with all that was wrong. Says how many there were."""

    def __call__(
        self, name: str, states: Iterable[State], judge: Callable[[State], str | None], share: float = 1
    ) -> None: ...


_MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def rehearsal() -> Iterator[Rehearsal]:
    if compiler() is None:
        pytest.skip("no C compiler (or no Linux): the calls of a haul on files cannot be seen")
    memory = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="skyhaul-durability-", dir=memory))
    try:
        with Rehearsal(folder / "haul") as done:
            yield done
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def seed() -> int:
    return int(os.environ.get("SKYHAUL_DURABILITY_SEED", "20261201"))


@pytest.fixture
def campaign(seed: int) -> Campaign:
    limit = float(os.environ.get("SKYHAUL_DURABILITY_SECONDS", "inf"))

    def go(
        name: str, states: Iterable[State], judge: Callable[[State], str | None], share: float = 1
    ) -> None:
        begun, tried = time.monotonic(), 0
        wrong: list[str] = []
        for state in states:
            if time.monotonic() - begun > limit * share:
                break
            tried += 1
            found = judge(state)
            if found is not None:
                print(f"wrong, state {tried}: {found}", flush=True)  # with -s at once: a campaign is long
                wrong.append(found)
        spent = time.monotonic() - begun
        print(f"{name}: {tried} states, seed {seed}, {spent:.0f} s; {len(wrong)} went wrong")
        assert tried
        assert not wrong, "\n\n".join(wrong)

    return go
