"""A file layer that kills its process at a chosen step, and the forked processes to be killed."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

from skyhaul.dataset.storage.files import LocalFiles, Step

KILLED = -signal.SIGKILL


class Crashing(LocalFiles):
    """Counts the moments before and after each step, and dies (SIGKILL) at moment number `at`."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.moments: list[tuple[str, Step, Path]] = []

    def before(self, step: Step, path: Path) -> None:
        self._moment("before", step, path)

    def after(self, step: Step, path: Path) -> None:
        self._moment("after", step, path)

    def _moment(self, when: str, step: Step, path: Path) -> None:
        if len(self.moments) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.moments.append((when, step, path))


def forked(work: Callable[[], object]) -> Callable[[], int]:
    """Start `work` in a child; the result waits for its exit code: 0, 1 for an exception, or -signal.

    A fork, because a fresh interpreter for each of some hundred kills would take minutes."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001  # a forked child must never return into pytest
            traceback.print_exc()
        finally:
            os._exit(code)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
