"""An error of a worker in another process, found again in what the runner says of the failed job.

A runner passes errors on as text: Python's traceback, inside a Java one on Flink. What the same command
would meet again (a bug, a worker of another version, a dataset that says otherwise) must not end with
"run the same command again", so the driver raises it as its own.
"""

from __future__ import annotations

import re

from skyhaul_schemas import errors
from skyhaul_schemas.errors import CommitConflict, SkyhaulError, SpoolInUse, UsageError
from skyhaul_schemas.printable import printable

# The last line of a traceback names the class with its module. Beam adds its step in brackets.
_RAISED = re.compile(
    r"\bskyhaul[\w.]*\.(?P<kind>[A-Z]\w*): (?P<message>[^\n]+?)(?: \[while running |$)", re.M
)

_BUG = "ShardBug"
"""A bug in a shard's haul, by its class's name: it would come again, but is nobody's mistake of use."""


def lasting_error(text: str) -> SkyhaulError | None:
    """The error of ours in a runner's text that another run would meet again, or None."""
    for found in _RAISED.finditer(text):
        message = f"a worker stopped: {printable(found['message'])}"
        if found["kind"] == _BUG:
            return SkyhaulError(message)
        # A lock that another process held a moment ago is no lasting matter, though it is one of usage.
        kind = getattr(errors, found["kind"], None)
        if not isinstance(kind, type) or issubclass(kind, SpoolInUse):
            continue
        if issubclass(kind, UsageError | CommitConflict):
            error: SkyhaulError = kind(message)
            return error
    return None
