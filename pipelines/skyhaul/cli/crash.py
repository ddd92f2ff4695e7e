"""What a bug looks like to a user: one line, and the traceback in a file (or on stderr with -v)."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import traceback
from types import TracebackType

from skyhaul.report.scrub import scrubbed
from skyhaul.report.stdio import complain, complains_as_json
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import of_environment


def report_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """`sys.excepthook`: the interpreter then exits with 1. Ctrl-C keeps its own way."""
    if not isinstance(error, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    # A thread's error, or one outside of any command: `LateGroup.main` has looked at all others.
    found = of_environment(error)
    if found is not None:
        complain(scrubbed(str(found)))
        return
    text = scrubbed("".join(traceback.format_exception(kind, error, trace)))
    what = printable(scrubbed(f"this is a bug: {kind.__name__}: {error}"))
    # Not the session's word: a bug may strike before options are parsed, or where no session is.
    if {"-v", "--verbose"} & set(sys.argv[1:]):
        if complains_as_json():
            # Whoever reads JSON lines must find nothing else among them.
            complain(text.rstrip("\n"))
        else:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write(text)
        complain(what)
    else:
        complain(f"{what}; {_kept(text)}")


def report_thread_bug(args: threading.ExceptHookArgs) -> None:
    """`threading.excepthook`: the same for a thread, which does not end the process."""
    if args.exc_value is not None and isinstance(args.exc_value, Exception):
        # Only once Beam has loaded it can a thread of Beam's have raised it: one that reads a job server's
        # messages ends so when the server is gone, and the haul then tells by itself how it ended.
        grpc = sys.modules.get("grpc")
        if grpc is not None and isinstance(args.exc_value, grpc.RpcError):
            return
        report_bug(args.exc_type, args.exc_value, args.exc_traceback)


def _kept(text: str) -> str:
    """Write the traceback where only this user can read it; says where it is."""
    try:
        descriptor, path = tempfile.mkstemp(prefix="skyhaul-bug-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        return f"the traceback could not be kept ({error.strerror or error}); -v shows it"
    return f"the traceback is in {path}"
