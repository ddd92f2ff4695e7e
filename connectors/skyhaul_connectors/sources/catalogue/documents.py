"""Documents that a job names, lists and checksums: how they are opened here, and read line by line."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import unusable


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    Attributes:
        where: Its path or URL, as messages show it: without a secret.
        open: Opens it, anew at each call; blocks. Raises CarriageError or UsageError.
    """

    where: str
    open: Callable[[], IO[bytes]]


def opened(what: str, path: str) -> IO[bytes]:
    """A local document, a file: a pipe could be read only once, and might never end. Raises UsageError."""
    what = f"{what} {printable(path)!r} cannot be read"
    try:
        # Without O_NONBLOCK the opening of a pipe that nobody writes to would not end.
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    except OSError as error:
        raise unusable(error, what) from None
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise UsageError(f"{what}: it is a pipe or a device, not a file")
    return file


def lines_of(file: IO[bytes], cap: int) -> Iterator[bytes]:
    """Lines with their ends.

    One longer than `cap` bytes comes as its first `cap` + 1 bytes, so that whoever checks its length sees
    that it is too long; memory stays bounded, whatever a document from outside holds."""
    while line := file.readline(cap + 1):
        yield line
