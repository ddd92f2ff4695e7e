"""stdout and stderr as a program in a pipeline meets them: readers that left, errors in one line."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading

from skyhaul_schemas.printable import printable

_left = threading.Event()


def say(text: str = "") -> None:
    """Write a line to stdout, at once. A reader that has left (`| head`) is no error: the work and its exit
    code matter more, so the rest of the output goes nowhere."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _left.set()


def reader_left() -> bool:
    """Whether stdout has no reader any more, so that it is no use to say it again."""
    return _left.is_set()


def complain(message: str, log_format: str = "text") -> None:
    """Write `skyhaul: error: ...` to stderr, or a JSON line, for each line of `message`: an error may list
    several things, and whoever quotes from outside has made it printable."""
    with contextlib.suppress(BrokenPipeError):
        for text in map(printable, message.split("\n")):
            line = f"skyhaul: error: {text}"
            if log_format == "json":
                line = json.dumps({"level": "error", "message": text})
            print(line, file=sys.stderr, flush=True)
