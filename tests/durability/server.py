"""A fork server: imports the program once, and runs each command in a child, whose calls on files may be
recorded or fail.

Run as a script under LD_PRELOAD of `disk_calls.c`: a line of JSON in on stdin, a line of JSON out on
stdout, for each command. A fresh interpreter for each of some thousand states would take hours.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BUG_IN_CHILD = 99
HUNG = -999


def import_program() -> None:
    """Arrow and Beam, as the program itself imports them; the rest is learned from the children."""
    from skyhaul.cli.lean_start import import_arrow, import_beam

    import_arrow()
    import_beam()
    for module in ("skyhaul.cli.main", "durability.kept"):
        importlib.import_module(module)


def in_child(request: dict[str, Any], out: int, err: int) -> int:
    """The exit code of the command (or of the function of `durability.kept`) that the request names."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    import skyhaul_schemas.layout as layout
    from durability import kept
    from skyhaul.cli.main import main

    layout.GROUP_SIZE = request["group_size"]
    folder = Path(request["folder"])
    os.chdir(folder)
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    _arm(request)
    code = BUG_IN_CHILD
    try:
        if "function" in request:
            code = getattr(kept, request["function"])(*request["arguments"]) or 0
        else:
            sys.argv = ["skyhaul", *request["arguments"]]
            main()
            code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:  # noqa: BLE001  # a forked child must never return into the server
        if isinstance(error, Exception) and "function" not in request:
            sys.excepthook(type(error), error, error.__traceback__)
            code = 1
        else:
            sys.__excepthook__(type(error), error, error.__traceback__)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _arm(request: dict[str, Any]) -> None:
    calls = ctypes.CDLL(None)
    if request.get("record"):
        log = os.open(request["record"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        calls.disk_calls_record(log)
    if request.get("fail"):
        call, pattern, nth, error, on, half = request["fail"]
        calls.disk_calls_fail(call.encode(), pattern.encode(), ctypes.c_long(nth), error, int(on), int(half))
    if request.get("record") or request.get("fail"):
        calls.disk_calls_watch(request["folder"].encode())


def run(request: dict[str, Any]) -> dict[str, Any]:
    before = set(sys.modules)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as note:
        child = os.fork()
        if child == 0:
            code = BUG_IN_CHILD
            try:
                code = in_child(request, out.fileno(), err.fileno())
                hits = ctypes.CDLL(None).disk_calls_hits
                hits.restype = ctypes.c_long
                said = {"hits": hits(), "modules": [name for name in sys.modules if name not in before]}
                os.write(note.fileno(), json.dumps(said).encode())
            finally:
                os._exit(code & 0xFF)
        end = time.monotonic() + request.get("limit", 90)
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                break
            if time.monotonic() > end:
                os.kill(child, 9)
                os.waitpid(child, 0)
                code = HUNG
                break
            time.sleep(0.005)
        for file in (out, err, note):
            file.seek(0)
        said = json.loads(note.read() or '{"hits": -1, "modules": []}')
        if "fail" not in request:
            # What a command imports by itself the next child has from here.
            for module in said["modules"]:
                with suppress(ImportError):
                    importlib.import_module(module)
        return {
            "code": code,
            "out": out.read().decode(errors="replace"),
            "err": err.read().decode(errors="replace"),
            "hits": said["hits"],
        }


def serve() -> None:
    import_program()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
