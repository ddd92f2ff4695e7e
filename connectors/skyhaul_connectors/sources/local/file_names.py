"""Names of local files, whatever encoding this process gives to file names.

An object's name is the file's bytes read as UTF-8: the same in every locale, so that one folder is one
plan. Python decodes file names by the locale's encoding instead, unless it runs in UTF-8 mode (which the
program and its workers switch on; a pipeline of somebody else's may not have it).
"""

from __future__ import annotations

import os
import sys

from skyhaul_schemas.errors import UsageError


def to_name(entry: str) -> str:
    """What `entry`, a name as Python got it from the system, is in UTF-8.

    Bytes that are no UTF-8 come as surrogates, so that `fault_in_path` refuses them by name."""
    if _is_utf8():
        return entry
    return os.fsencode(entry).decode("utf-8", "surrogateescape")


def to_system(path: str) -> str:
    """The text under which Python finds the file of the UTF-8 `path`."""
    if _is_utf8():
        return path
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def check_reachable(path: str, what: str) -> None:
    """Raise UsageError where Python and the libraries below it would write `path` under two names."""
    if not _is_utf8() and not path.isascii():
        raise UsageError(
            f"{what} {path!a}: this process writes file names in {sys.getfilesystemencoding()}, which"
            " would not be this name; start Python with PYTHONUTF8=1, or use a name in ASCII"
        )


def _is_utf8() -> bool:
    return sys.getfilesystemencoding().lower().replace("-", "") == "utf8"
