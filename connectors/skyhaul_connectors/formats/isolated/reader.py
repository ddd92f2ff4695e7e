"""Asks child processes to read what may be hostile.

A child is started when first needed, belongs to the thread that uses it, serves one task after the other,
and ends when its parent does (its input closes). What it cannot do with the bytes (an error of the library, a
crash, memory or time beyond the limits) is Broken, a function of the bytes; a child that something else
killed is a StorageError.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul_connectors.formats.bytes.stream import Broken
from skyhaul_connectors.formats.isolated import protocol
from skyhaul_connectors.formats.isolated.protocol import Done, Read, receive, send
from skyhaul_schemas.errors import StorageError
from skyhaul_schemas.printable import brief

_SAID = 64 * 1024
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}
_local = threading.local()


@dataclass(frozen=True, slots=True)
class IsolatedReader:
    """What reads in a child of its own, and what it may have there.

    Attributes:
        module: Its `SERVICE` does the work.
        memory: Bytes of address space, what the libraries of `module` map among them.
        cpu_seconds: Of one task.
        name: What a hostile file crashes, in words.
    """

    module: str
    memory: int
    cpu_seconds: int
    name: str = "its reader"

    def run(
        self, task: dict[str, Any], read: Read | None = None, given: bytes = b""
    ) -> Iterator[bytes | Done]:
        """Have a task done.

        Args:
            task: What the service's task `task["do"]` is told.
            read: Serves it the object, where it reads one.
            given: Bytes that go along.

        Yields:
            The pieces of the answer, then its closing word.

        Raises:
            Broken: The bytes cannot be read.
            StorageError: Something else ended the child.
            Exception: What `read` raised.
        """
        children: dict[IsolatedReader, _Child] = _local.__dict__.setdefault("children", {})
        child = children.get(self)
        # After a fork, a child of the parent's counts as ended: it is not ours to wait for.
        if child is None or child.ended:
            child = children[self] = _Child(self)
        finished = False
        try:
            for item in child.run(task, given, read):
                finished = isinstance(item, Done)
                yield item
        except Broken:
            finished = True
            raise
        finally:
            if not finished:
                child.kill()

    def answer(self, task: dict[str, Any], read: Read | None = None, given: bytes = b"") -> Done:
        """The closing word of a task, which is all that is wanted of it. As `run`."""
        *_, found = self.run(task, read, given)
        assert isinstance(found, Done)
        return found


class _Child:
    def __init__(self, reader: IsolatedReader) -> None:
        self._reader = reader
        # A library that aborts says so there: nothing for the user's terminal, but the end of it may explain.
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the child
        limits = str(reader.memory), str(reader.cpu_seconds)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __package__, reader.module, *limits],
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

    def run(self, task: dict[str, Any], given: bytes, read: Read | None) -> Iterator[bytes | Done]:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            send(into, protocol.TASK, json.dumps(task).encode(), given)
            while True:
                kind, head, body = receive(out)
                if kind == protocol.WANTS:
                    assert read is not None
                    send(into, protocol.READ, body=read(*protocol.SPAN.unpack(body)))
                elif kind == protocol.PIECE:
                    yield body
                elif kind == protocol.REFUSED:
                    raise Broken(body.decode("utf-8", "replace"))
                else:
                    yield Done(json.loads(head), body)
                    return
        except (BrokenPipeError, EOFError):
            raise self._gone() from None

    def _gone(self) -> Broken | StorageError:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return Broken(f"takes more than {self._reader.cpu_seconds} s of CPU time to read")
        self._said.seek(0)
        lines = self._said.read(_SAID).decode("utf-8", "replace").split("\n")
        if code in _CRASHES:
            # What an exception that nobody caught said; anything else there need not be the same each time.
            why = next((line.partition("what():")[2].strip() for line in lines if "what():" in line), "")
            name = signal.Signals(-code).name
            return Broken(f"crashes {self._reader.name} ({f'{name}: {why}' if why else name})")
        last = next((brief(line) for line in reversed(lines) if line.strip()), "out of memory?")
        return StorageError(f"the reader process ended with {code} ({last}); run the same command again")
