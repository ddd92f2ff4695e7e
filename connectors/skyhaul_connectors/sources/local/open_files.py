"""The limit on open files (RLIMIT_NOFILE, getrlimit(2)), and what of it connections and spool files may take.

A connection, an open shard's spool file and a file that is written take a descriptor each. Where there are
few, fewer connections and shards are open at a time; a haul is slower then, and ends all the same.
"""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass

from skyhaul_schemas.errors import UsageError

ENOUGH = 65_536
"""What the soft limit is raised to at most: some programs walk over all descriptors up to their limit."""

RESERVE = 16
"""Descriptors that a haul needs beside connections and spool files: the journal and the ledger (three each),
locks, the files of a dataset under way and their folders, a resolver's."""

A_WORKER = 3
"""Descriptors of an encoder: its part files, or the pipes of a child that decodes."""

_LEAST = 4
"""Descriptors below which nothing is begun: two connections, and two shards for what they bring."""

_UNKNOWN = 32
"""Descriptors that are taken to be in use where the system does not list them. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class FileBudget:
    """How many may be open at a time, over all sources of a process.

    Attributes:
        connections: To servers.
        shards: Whose spool files are open."""

    connections: int
    shards: int


def raise_limit() -> None:
    """Raise the soft limit to the hard one, `ENOUGH` at most; whoever set it low meant shells, not us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # A limit that may not be raised after all is lived with: `file_budget` fits into it.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def file_budget(workers: int = 1, *, limit: int | None = None, in_use: int | None = None) -> FileBudget:
    """What this process may open from now on.

    Args:
        workers: Encoders that run beside.
        limit: Of descriptors; None: the process's own.
        in_use: Descriptors; None: those of the process.

    Raises:
        UsageError: Nothing could be hauled within the limit."""
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        limit = ENOUGH
    left = limit - (_in_use() if in_use is None else in_use) - RESERVE - A_WORKER * workers
    if left < _LEAST:
        raise UsageError(
            f"the limit on open files is {limit} (ulimit -n), and a haul needs {limit - left + _LEAST} or"
            " more; raise it, or lower --workers (max_connections is lowered to fit by itself)"
        )
    # Connections pay more than shards that wait for them.
    connections = max(1, left * 2 // 3)
    return FileBudget(connections, left - connections)


def affordable(connections: int) -> int:
    """How many of so many connections a listing may open. Raises UsageError where that is none."""
    return min(connections, file_budget().connections)


def _in_use() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            # With the one that lists them; one too many is on the safe side.
            return len(os.listdir(folder))
    return _UNKNOWN
