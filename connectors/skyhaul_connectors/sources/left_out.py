"""What a listing names and a source cannot take as an object: counted by reason, with a few names each."""

from __future__ import annotations

import bisect
import threading

from skyhaul_schemas.printable import printable

DANGLING = "a link to nothing"
LEAVES_ROOT = "a link that leaves the root"
FOLDER_LINK = "a link to a folder, which ** does not follow"
HIDDEN = "a name that starts with a dot, which no pattern names"
NOT_REGULAR = "no regular file"
EMPTY_PART = "an empty part in the name"
MARKER = "a marker of a folder"
"""Reasons that sources of several kinds have."""

NAMES_KEPT = 5
"""Names that are kept of each reason: those that sort first, so that equal listings keep equal ones."""
NAME_CAP = 200
"""Characters of a kept name. Names come from outside, and the plan keeps these."""


class Tally:
    """Names, counted by reason, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def add(self, name: str, reason: str) -> None:
        """Count one name.

        Args:
            name: As the listing has it.
            reason: Why it is no object, in words that are the same for every such name (`a link that leaves
                the root`); never a URL's secret, nor anything of the name itself."""
        shown = printable(name)
        shown = shown if len(shown) <= NAME_CAP else f"{shown[: NAME_CAP - 1]}…"
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + 1
            names = self._names.setdefault(reason, [])
            # The first ones in order and not in time: threads of one listing come in any order, and equal
            # listings must make equal plans.
            at = bisect.bisect_left(names, shown)
            if shown not in names[at : at + 1]:
                names.insert(at, shown)
                del names[NAMES_KEPT:]

    def counts(self) -> dict[str, int]:
        """Reason -> how many names, by reason."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def names(self) -> dict[str, list[str]]:
        """Reason -> the first few names, made printable."""
        with self._lock:
            return {reason: list(names) for reason, names in sorted(self._names.items())}


class LeftOut(Tally):
    """Filled by one listing; read when that has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.unchecked = Tally()
        """Where a check that was asked for is not made: objects that are taken, and lines of lists."""
