"""The life of a child: it serves one task after the other, and ends when its input closes.

Called with the module whose `SERVICE` it is, the bytes of address space that it may have, and the seconds of
CPU time that a task may take.
"""

from __future__ import annotations

import importlib
import json
import resource
import signal
import sys
from contextlib import suppress
from typing import IO

from skyhaul_connectors.formats.isolated import protocol
from skyhaul_connectors.formats.isolated.protocol import Done, Service, receive, send


def main(module: str, memory: int, cpu_seconds: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    service: Service = importlib.import_module(module).SERVICE
    service.prepare()
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
    starved = allowed != resource.RLIM_INFINITY and allowed < memory
    memory = allowed if starved else memory
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(BrokenPipeError):
        _serve(service, sys.stdin.buffer, sys.stdout.buffer, memory, cpu_seconds, starved=starved)


def _serve(
    service: Service, source: IO[bytes], sink: IO[bytes], memory: int, cpu_seconds: int, *, starved: bool
) -> None:
    """starved: this machine gives the child less memory than we allow it."""

    def read(offset: int, length: int) -> bytes:
        send(sink, protocol.WANTS, body=protocol.SPAN.pack(offset, length))
        return receive(source)[2]

    while True:
        try:
            _, head, given = receive(source)
        except EOFError:
            return
        _allow_time(cpu_seconds)
        task = json.loads(head)
        try:
            for item in service.tasks[task["do"]](task, given, read):
                if isinstance(item, Done):
                    send(sink, protocol.DONE, json.dumps(item.result).encode(), item.body)
                else:
                    send(sink, protocol.PIECE, body=item)
        except Exception as error:
            if starved and isinstance(error, MemoryError):
                raise  # the machine's fault, not that of the bytes
            reason = service.refusal(error, memory)
            if reason is None:
                raise
            send(sink, protocol.REFUSED, body=reason.encode("utf-8", "replace"))


def _allow_time(cpu_seconds: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + cpu_seconds
    # The hard limit stays: it could not be raised for the next one.
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
