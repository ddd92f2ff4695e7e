"""Globs over object paths: `*`, `?`, `[...]` within a part, `**` for any number of folders.

A `**` at the end takes every object below. Names that start with a dot are taken only by a part that
starts with one, as in a shell. A pattern is followed folder by folder as a set of states, so that a tree
is walked once, only where something can match, whatever the patterns.
"""

from __future__ import annotations

import fnmatch
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

States = frozenset[tuple[int, int]]
"""(pattern, part) pairs that the next name may match."""

_MAGIC = re.compile(r"[*?[]")


def has_glob(text: str) -> bool:
    return _MAGIC.search(text) is not None


def split_root(pattern: str) -> tuple[str, str]:
    """(longest folder without globs, the rest) of a pattern; `a/b/*.c` is (`a/b`, `*.c`).

    A pattern that ends in `/` means everything below. The root of `x` is the empty string, that of `/x` is
    `/`."""
    parts = pattern.split("/")
    if parts[-1] == "":
        parts[-1] = "**"
    stop = next((i for i, part in enumerate(parts) if has_glob(part)), len(parts) - 1)
    root = "/".join(parts[:stop])
    return (root or "/" if pattern.startswith("/") else root), "/".join(parts[stop:])


def keys_root(patterns: Sequence[str]) -> tuple[str, list[str]]:
    """(the longest folder without globs that holds all `patterns`, these below it), for keys of stores.

    No part is folded, and `a//b` is not `a/b`. A pattern that ends in `/` means everything below."""
    split = [(f"{p}**" if "/" in p and p.endswith("/") else p).split("/") for p in patterns]
    folders = [
        parts[: next((i for i, part in enumerate(parts) if has_glob(part)), len(parts) - 1)]
        for parts in split
    ]
    root = [shared[0] for shared in itertools.takewhile(_are_equal, zip(*folders, strict=False))]
    return "/".join(root), ["/".join(parts[len(root) :]) for parts in split]


def _are_equal(parts: Sequence[str]) -> bool:
    return len(set(parts)) == 1


def common_root(roots: Sequence[str]) -> str:
    """The longest folder that holds all `roots`, which are all absolute or all relative."""
    split = [root.strip("/").split("/") if root.strip("/") else [] for root in roots]
    shared: list[str] = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ("/" if roots[0].startswith("/") else "") + "/".join(shared)


def below(root: str, folder: str) -> str:
    """`folder` relative to `root`, which holds it, with `/` at its end unless it is the root itself."""
    rest = folder[len(root) :].strip("/") if root != "/" else folder.strip("/")
    return f"{rest}/" if rest else ""


class Selection:
    """Patterns relative to one root."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._parts = [tuple(pattern.split("/")) for pattern in patterns]
        self._match = {part: _matcher(part) for parts in self._parts for part in parts if part != "**"}

    def start(self) -> States:
        """The states at the root."""
        return self._closed((p, 0) for p in range(len(self._parts)))

    def enter(self, states: States, folder: str, *, link: bool = False) -> States:
        """The states inside `folder`; none means that nothing below can match.

        Args:
            states: Those of the folder that holds it.
            folder: Its name.
            link: The folder is a symbolic link, which `**` does not follow (it may lead in a circle)."""
        inside: list[tuple[int, int]] = []
        for p, i in states:
            part = self._parts[p][i]
            if part == "**":
                if not link and not _is_hidden(folder):
                    inside.append((p, i))
            elif i + 1 < len(self._parts[p]) and self._match[part](folder):
                inside.append((p, i + 1))
        return self._closed(inside)

    def takes(self, states: States, name: str) -> bool:
        """Whether an object `name` in a folder with `states` matches."""
        for p, i in states:
            part = self._parts[p][i]
            if i + 1 == len(self._parts[p]) and (
                not _is_hidden(name) if part == "**" else self._match[part](name)
            ):
                return True
        return False

    def hides(self, states: States, name: str) -> bool:
        """Whether nothing but the dot that it starts with keeps an object `name` out."""
        return _is_hidden(name) and any(
            i + 1 == len(self._parts[p]) and self._matches_hidden(self._parts[p][i], name) for p, i in states
        )

    def hides_folder(self, states: States, folder: str) -> bool:
        """Whether nothing but the dot that it starts with keeps a folder from being entered."""
        return (
            _is_hidden(folder)
            and not self.enter(states, folder)
            and any(
                (self._parts[p][i] == "**" or i + 1 < len(self._parts[p]))
                and self._matches_hidden(self._parts[p][i], folder)
                for p, i in states
            )
        )

    # fnmatch's own matching takes a leading dot; `_matcher` is what keeps it out. So this asks what would
    # match.
    def _matches_hidden(self, part: str, name: str) -> bool:
        return part == "**" or (has_glob(part) and re.match(fnmatch.translate(part), name) is not None)

    def matches(self, path: str) -> bool:
        """Whether a whole path matches."""
        *folders, name = path.split("/")
        states = self.start()
        for folder in folders:
            states = self.enter(states, folder)
        return self.takes(states, name)

    def exact(self) -> list[str]:
        """The patterns without any glob: names that must exist."""
        return [pattern for pattern in self.patterns if not has_glob(pattern)]

    def _closed(self, states: Iterable[tuple[int, int]]) -> States:
        """With what follows a `**`, since it may stand for no folder at all."""
        found: set[tuple[int, int]] = set()
        for p, i in states:
            found.add((p, i))
            while self._parts[p][i] == "**" and i + 1 < len(self._parts[p]):
                i += 1
                found.add((p, i))
        return frozenset(found)


def _matcher(part: str) -> Callable[[str], bool]:
    if not has_glob(part):
        return part.__eq__
    compiled = re.compile(fnmatch.translate(part))
    if part.startswith("."):
        return lambda name: compiled.match(name) is not None
    return lambda name: not _is_hidden(name) and compiled.match(name) is not None


def _is_hidden(name: str) -> bool:
    """`.` and `..` are no names of files, and in keys of object stores they are parts like others."""
    return name.startswith(".") and name not in (".", "..")
