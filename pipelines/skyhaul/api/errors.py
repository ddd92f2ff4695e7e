"""What a library call raises: errors of ours, whatever the system or a library said, and bugs as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.storage_errors import of_environment


@contextmanager
def as_ours() -> Iterator[None]:
    """Within, what the environment does (a full disk, no more memory) is raised as a SkyhaulError."""
    try:
        yield
    except Exception as error:
        found = of_environment(error)
        if found is None or found is error:
            raise
        raise found from error


def require_utf8() -> None:
    """Raise UsageError where names of files would come out otherwise than in every other process.

    The command line starts itself anew in UTF-8 mode; a library cannot.
    """
    if sys.getfilesystemencoding() != "utf-8":
        raise UsageError(
            f"this Python reads names of files as {sys.getfilesystemencoding()}, which gives another plan;"
            " start it with -X utf8, or with PYTHONUTF8=1"
        )
