"""What `disk_calls.c` has written down: the calls of a process on the files of one folder, in their order."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CALLS = (
    "open", "create", "pread", "read", "pwrite", "write", "fsync", "fdatasync", "truncate", "punch", "link",
    "rename", "unlink", "mkdir", "rmdir", "list", "close",
)  # fmt: skip
"""Names by number; `create` is an `open` that made the file."""

_HEAD = struct.Struct("<iiqqqiiii")
_NAMELESS = -1

_VARYING = (
    (re.compile(r"tmp-[0-9a-f]{12}"), "tmp-*"),
    (re.compile(r"tmp-\*/[^/]+?(\.\w+)?$"), r"tmp-*/*\1"),
    (re.compile(r"^spool/[0-9a-f]{32}"), "spool/*"),
    (re.compile(r"-holder-[0-9a-f]{32}$"), "-holder-*"),
    (re.compile(r"runs/[^/]+\.json$"), "runs/*.json"),
    (re.compile(r"\.json\.[0-9a-f]{8}\.tmp$"), ".json.*.tmp"),
    (re.compile(r"^tmp/.+"), "tmp/*"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call. path, other: relative to the folder (`other`: what a link or rename made). opening: number
    of the opening that the descriptor came from. offset, length: bytes; of a `truncate`, length alone.
    data: of a write. error: the errno with which it failed, 0 where it did not."""

    name: str
    path: str
    other: str = ""
    opening: int = 0
    offset: int = 0
    length: int = 0
    flags: int = 0
    data: bytes = b""
    error: int = 0

    @property
    def nameless(self) -> bool:
        """An opening without a name (O_TMPFILE): it never has one."""
        return self.name == "open" and self.flags == _NAMELESS

    @property
    def subject(self) -> str:
        """The path by which a fault is chosen."""
        return self.other or self.path

    @property
    def pattern(self) -> str:
        """`subject` with `*` for what differs from run to run."""
        return pattern_of(self.subject)

    @property
    def site(self) -> tuple[str, str]:
        """The call as a fault names it, and the pattern."""
        return ("open" if self.name == "create" else self.name), self.pattern


def pattern_of(path: str) -> str:
    for varying, fixed in _VARYING:
        path = varying.sub(fixed, path)
    return path


def read_trace(log: Path) -> list[Call]:
    return list(_calls(log.read_bytes()))


def _calls(data: bytes) -> Iterator[Call]:
    at = 0
    while at < len(data):
        call, flags, opening, offset, length, path, other, size, result = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        parts = []
        for count in (path, other, size):
            parts.append(data[at : at + count])
            at += count
        yield Call(
            CALLS[call], _plain(parts[0]), _plain(parts[1]), opening, offset, length, flags, parts[2], -result
        )


def _plain(path: bytes) -> str:
    plain = os.path.normpath(path.decode()) if path else ""
    return "" if plain == "." else plain


def counted(calls: Iterable[Call]) -> dict[tuple[str, str], int]:
    """How often each site was called."""
    found: dict[tuple[str, str], int] = {}
    for call in calls:
        if call.name != "close":
            found[call.site] = found.get(call.site, 0) + 1
    return found


@cache
def compiler() -> str | None:
    """A C compiler for a machine on which libraries can be preloaded."""
    return (
        next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
        if os.uname().sysname == "Linux"
        else None
    )


def build(folder: Path) -> Path:
    """The library, compiled into `folder`."""
    library = folder / "disk_calls.so"
    source = Path(__file__).with_name("disk_calls.c")
    made = library.with_suffix(f".{os.getpid()}")
    subprocess.run(
        [
            str(compiler()),
            "-shared",
            "-fPIC",
            "-O2",
            "-Wall",
            "-Wextra",
            "-o",
            made,
            source,
            "-ldl",
            "-lpthread",
        ],
        check=True,
    )
    made.replace(library)
    return library
