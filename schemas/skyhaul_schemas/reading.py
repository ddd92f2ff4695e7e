"""Small files that a user names, whatever they turn out to be: a pipe, a device, a folder, gigabytes."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path

PIPE_WAIT = 10.0
"""Seconds that the writer of a pipe has for its next bytes: `<(...)` takes a moment to begin."""

_BLOCK = 64 * 1024


def read_start(path: str | Path, limit: int) -> bytes:
    """The first `limit` bytes of a file or a pipe. Waits for nobody longer than PIPE_WAIT.

    Raises:
        OSError: It cannot be opened or read, or is a folder.
        ValueError: Why it is no file to be read: a device, or a pipe that says nothing.
    """
    # Without O_NONBLOCK the opening of a pipe without a writer would never end, nor that of some devices.
    # Without O_NOCTTY a terminal that is named would become this process's own.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise ValueError("it is a device, not a file")
        piped = not stat.S_ISREG(mode)
        # A stated size is not asked for: files of /proc state 0, and others may grow.
        parts: list[bytes] = []
        left = limit
        while left and (part := _part(descriptor, min(left, _BLOCK), piped, begun=bool(parts))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _part(descriptor: int, length: int, piped: bool, *, begun: bool) -> bytes:
    """The next bytes; none at the end. A pipe that nobody has opened for writing yet reads as ended."""
    until = time.monotonic() + PIPE_WAIT
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    while True:
        if piped and not waiting.poll(max(0.0, until - time.monotonic()) * 1000):
            raise ValueError(f"it is a pipe, and nothing was written to it for {PIPE_WAIT:g} s")
        try:
            part = os.read(descriptor, length)
        except BlockingIOError:
            continue
        # Once bytes have come, an empty read is the end; before, it may be that nobody opened the pipe yet.
        if part or not piped or begun:
            return part
        if time.monotonic() >= until:
            raise ValueError(f"it is a pipe, and nothing was written to it for {PIPE_WAIT:g} s")
        time.sleep(0.02)
