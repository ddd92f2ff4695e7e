"""Readers of hostile formats run in a child process, with limits on its memory and CPU time.

A child serves one task after the other over its standard streams: it gets the task, asks for stretches of
the object, and gives record batches and a closing word. It is started when first needed, belongs to the
thread that uses it, and ends when its parent does. What the child cannot do with the bytes (an error of the
library, a crash, memory or time beyond the limits) is Broken, a function of the bytes; a child that something
else killed is a StorageError.

Frames both ways are a letter, a length and as many bytes. To the child: `T` task (JSON), `R` bytes that it
asked for. From it: `r` offset and length, `b` batch (an Arrow IPC stream), `e` reason, `d` result (JSON).
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa

from skyhaul_connectors.formats.bytes.stream import Broken
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.printable import brief
from skyhaul_schemas.storage_errors import is_passing

MEMORY = 3 * 1024**3
"""Bytes of address space of a child; pyarrow alone maps about 1 GiB of it."""

CPU_SECONDS = 600
"""Of one task: minutes beyond what the largest chunk takes, so that it tells the hostile from the slow."""

Read = Callable[[int, int], bytes]
Task = Callable[[dict[str, Any], Read], Iterator[pa.RecordBatch | dict[str, Any]]]

_SAID = 64 * 1024
_HEAD = struct.Struct("<cQ")
_SPAN = struct.Struct("<QQ")
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}
_REFUSALS = (pa.ArrowException, Broken, OSError, ValueError, ArithmeticError, LookupError, TypeError)
_local = threading.local()


def run(module: str, task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch | dict[str, Any]]:
    """What `module.tasks[task["do"]]` yields in the child; `read` serves the object. Raises Broken,
    StorageError and what `read` raises."""
    children: dict[str, _Child] = _local.__dict__.setdefault("children", {})
    child = children.get(module)
    if child is None or child.ended:
        child = children[module] = _Child(module)
    finished = False
    try:
        for item in child.run(task, read):
            finished = isinstance(item, dict)  # the closing word
            yield item
    except Broken:
        finished = True
        raise
    finally:
        if not finished:
            child.kill()


class _Child:
    def __init__(self, module: str) -> None:
        # A library that aborts says so there: nothing for the user's terminal, but the end of it may explain.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, module, str(MEMORY), str(CPU_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            close_fds=True,
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def run(self, task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch | dict[str, Any]]:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            _send(into, b"T", json.dumps(task).encode())
            while True:
                kind, body = _receive(out)
                if kind == b"r":
                    _send(into, b"R", read(*_SPAN.unpack(body)))
                elif kind == b"b":
                    yield from pa.ipc.open_stream(pa.py_buffer(body))
                elif kind == b"e":
                    raise Broken(body.decode("utf-8", "replace"))
                else:
                    yield json.loads(body)
                    return
        except (BrokenPipeError, EOFError):
            raise self._gone() from None

    def _gone(self) -> Broken | StorageError:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return Broken(f"takes more than {CPU_SECONDS} s of CPU time to read")
        self._said.seek(0)
        lines = self._said.read(_SAID).decode("utf-8", "replace").split("\n")
        if code in _CRASHES:
            # What an exception that nobody caught said; anything else there need not be the same each time.
            why = next((line.partition("what():")[2].strip() for line in lines if "what():" in line), "")
            name = signal.Signals(-code).name
            return Broken(f"crashes its reader ({name}: {why})" if why else f"crashes its reader ({name})")
        last = next((brief(line) for line in reversed(lines) if line.strip()), "out of memory?")
        return StorageError(f"the reader process ended with {code} ({last}); run the same command again")


def _send(stream: IO[bytes], kind: bytes, body: bytes | pa.Buffer) -> None:
    stream.write(_HEAD.pack(kind, len(body)))
    stream.write(body)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[bytes, bytes]:
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise EOFError
    kind, length = _HEAD.unpack(head)
    body = stream.read(length)
    if len(body) < length:
        raise EOFError
    return kind, body


def _serve(
    tasks: dict[str, Task], source: IO[bytes], sink: IO[bytes], cpu_seconds: int, *, starved: bool
) -> None:
    """starved: this machine gives the child less memory than we allow it."""

    def read(offset: int, length: int) -> bytes:
        _send(sink, b"r", _SPAN.pack(offset, length))
        return _receive(source)[1]

    while True:
        try:
            _, body = _receive(source)
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + cpu_seconds
        # The hard limit stays: it could not be raised for the next one.
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        task = json.loads(body)
        try:
            _answer(tasks[task["do"]](task, read), sink)
        except MemoryError:
            if starved:
                raise  # the machine's fault, not the file's
            _send(sink, b"e", f"needs more memory than {MEMORY} bytes to read".encode())
        except _REFUSALS as error:
            if isinstance(error, OSError) and is_passing(error):
                raise
            # The library's own words for what is wrong with the file; nothing of ours raises these here.
            said = " ".join(str(error).split())[:300]
            if isinstance(error, LookupError) or not said:
                said = f"unsupported: {type(error).__name__} {said}"
            _send(sink, b"e", said.encode("utf-8", "replace"))


def _answer(items: Iterator[pa.RecordBatch | dict[str, Any]], sink: IO[bytes]) -> None:
    result: dict[str, Any] = {}
    for item in items:
        if isinstance(item, dict):
            result = item
            continue
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, item.schema) as writer:
            writer.write_batch(item)
        _send(sink, b"b", out.getvalue())
    _send(sink, b"d", json.dumps(result).encode())


def main(module: str, memory: int, cpu_seconds: int) -> None:
    """The child's life."""
    import importlib

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks = importlib.import_module(module).TASKS
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
    starved = allowed != resource.RLIM_INFINITY and allowed < memory
    memory = allowed if starved else memory
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(BrokenPipeError):
        _serve(tasks, sys.stdin.buffer, sys.stdout.buffer, cpu_seconds, starved=starved)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
