"""File names, job files and texts are UTF-8 in every locale: Python's UTF-8 mode (PEP 540) is switched on.

A locale such as de_DE.ISO-8859-1 makes Python read names of files otherwise, while Arrow and SQLite write
UTF-8 all the same. The mode can only be chosen when Python starts, so the process starts itself once more,
before anything is imported; what it prints stays in the terminal's encoding.
"""

from __future__ import annotations

import os
import sys


def ensure_utf8_mode() -> None:
    """Return where names are UTF-8 already; else become the same program in UTF-8 mode."""
    if sys.flags.utf8_mode or sys.getfilesystemencoding() == "utf-8":
        return
    # In UTF-8 mode Python would print UTF-8, too. A PYTHONIOENCODING that the user set holds.
    stream = sys.stdout or sys.stderr
    printed = stream.encoding if stream is not None else "ascii"
    os.environ.setdefault("PYTHONIOENCODING", f"{printed}:backslashreplace")
    os.environ["PYTHONUTF8"] = "1"  # for the worker processes too
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
