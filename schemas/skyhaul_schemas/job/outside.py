"""What a job file takes from outside: `${NAME}` of the environment, `${file:/path}` of a file.

Every process that reads a job takes them for itself, on its own machine: what travels and is kept is the job
file as written. So a file is named by an absolute path, and is one that can be read again and again.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import describe, printable
from skyhaul_schemas.reading import read_start
from skyhaul_schemas.storage_errors import unusable
from skyhaul_schemas.units import NotAllowed

FILE_CAP = 64 * 1024
"""Bytes of a file of `${file:/path}`: keys and tokens have some thousands, and a wrong path may name
anything. Chosen, not measured."""

FORMS = "${NAME} or ${file:/path}, or $${ for a plain ${"
"""The forms that there are, for messages."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = "file:"


class Outside:
    """The values that one reading of a job file takes.

    Args:
        env: The environment.

    Attributes:
        taken: The values so far, which are secret.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self.taken: set[str] = set()

    def value(self, name: str) -> str:
        """The value of `${name}`.

        Raises:
            NotAllowed: There is none; the error's `found` is fit to print.
            StorageError: The file's disk fails for now.
        """
        if name.startswith(_FILE):
            value = _content(name.removeprefix(_FILE))
        elif not _VARIABLE.fullmatch(name):
            raise NotAllowed(describe(f"${{{name}}}"), FORMS)
        elif name not in self._env:
            raise NotAllowed(
                f"${{{name}}}", f"a name from the environment; {name} is not set (export {name}=...)"
            )
        else:
            value = self._env[name]
        self.taken.add(value)
        return value


def _content(path: str) -> str:
    """The text of the file at `path`, without the newlines at its end."""
    shown = f"${{file:{printable(path)}}}"
    if not os.path.isabs(path):
        raise NotAllowed(shown, "an absolute path, since every worker reads the file of its own machine")
    try:
        # A pipe would be empty for the next process, or the next reading of this one.
        regular = stat.S_ISREG(os.stat(path).st_mode)
        raw = read_start(path, FILE_CAP + 1) if regular else b""
    except FileNotFoundError:
        raise NotAllowed(shown, "a file that is there; this machine has none of that name") from None
    except OSError as error:
        found = unusable(error, f"{shown}: cannot be read")
        if not isinstance(found, UsageError):
            raise found from None
        why = error.strerror or type(error).__name__
        raise NotAllowed(shown, f"a file that this user can read ({why})") from None
    except ValueError as error:
        # A path with a NUL, which the system takes for no name.
        raise NotAllowed(shown, f"a file that can be read ({error})") from None
    if not regular:
        raise NotAllowed(shown, "a plain file, which can be read again")
    if len(raw) > FILE_CAP:
        raise NotAllowed(shown, f"a file of at most {FILE_CAP} bytes")
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        text = "\0"
    # A variable of the environment cannot hold a NUL either, and nothing that takes its value expects one.
    if "\0" in text:
        raise NotAllowed(shown, "a file of text in UTF-8")
    # What mounts secrets may make the file before it has the secret: an empty one is never meant.
    if not text:
        raise NotAllowed(shown, "a file that is not empty")
    return text
