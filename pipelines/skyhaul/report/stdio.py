"""stdin, stdout and stderr as a program meets them: closed, full, without a reader; errors in one line."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading

from skyhaul_schemas.printable import printable

_left = threading.Event()
"""Set once stdout is given up: of the process, as stdout is, and seen by all threads."""
_as_json = threading.Event()
"""Set where errors are told as JSON: of the process, since they may strike where no session is at hand."""


def open_standard_streams() -> None:
    """Open what is closed of stdin, stdout and stderr on /dev/null; to be called before any file is opened.

    A descriptor below 3 that is closed would be given to the next file that is opened, a shard say, and
    whatever is printed would go into it. stdout is opened for reading, so that `say` learns of it. And no
    text may fail for a character that the locale's encoding does not have.
    """
    for descriptor, name, mode in (
        (0, "stdin", os.O_RDONLY),
        (1, "stdout", os.O_RDONLY),
        (2, "stderr", os.O_WRONLY),
    ):
        try:
            os.fstat(descriptor)
        except OSError:
            _to_null(descriptor, mode)
        if getattr(sys, name) is None:  # closed when Python started
            setattr(sys, name, open(descriptor, "r" if descriptor == 0 else "w", closefd=False))  # noqa: SIM115
    # What others put in their place (tests, a pipeline's host) may have no encoding to set.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _to_null(descriptor: int, mode: int) -> None:
    opened = os.open(os.devnull, mode)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def say(text: str = "") -> None:
    """Write a line to stdout, at once; raises nothing.

    A reader that has left (`| head`) is no error, nor is a full disk: the work and its exit code matter more,
    so the rest of the output goes nowhere.
    """
    try:
        # Flushed: what is still in the buffer when Python ends fails where nobody can catch it.
        print(text, flush=True)
    except OSError as error:
        give_up_stdout(error)
    except ValueError:  # closed meanwhile
        _left.set()


def give_up_stdout(error: OSError) -> None:
    """Let what is still to be said go nowhere, and tell why, once; a reader that has left knows."""
    if not _left.is_set() and not isinstance(error, BrokenPipeError):
        why = "it is closed" if error.errno == errno.EBADF else error.strerror or error
        complain(f"stdout: {why}; the result is not shown, the exit code holds")
    _left.set()
    # Below Python's object, so that what its buffer still holds can be flushed: else Python itself tries at
    # its end, fails, and leaves with 120.
    with contextlib.suppress(OSError, ValueError):
        _to_null(sys.stdout.fileno(), os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()


def reader_left() -> bool:
    """Whether stdout has no reader any more, so that it is no use to say it again."""
    return _left.is_set()


def complain_as(log_format: str) -> None:
    """Have all errors told as `text` or as `json` from now on."""
    if log_format == "json":
        _as_json.set()
    else:
        _as_json.clear()


def complains_as_json() -> bool:
    """Whether errors are told as JSON."""
    return _as_json.is_set()


def complain(message: str) -> None:
    """Write `skyhaul: error: ...` to stderr, or a JSON line, for each line of `message`.

    An error may list several things. What it quotes from outside has to be printable before it gets here: a
    line end in a name would pass for the next of them.
    """
    # Nothing is raised: who cannot tell an error any more still has the exit code.
    with contextlib.suppress(OSError, ValueError):
        for text in map(printable, message.split("\n")):
            line = f"skyhaul: error: {text}"
            if complains_as_json():
                line = json.dumps({"level": "error", "message": text})
            print(line, file=sys.stderr, flush=True)
