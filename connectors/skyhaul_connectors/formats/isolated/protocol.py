"""What a child process is asked, what it answers, and how both cross its standard streams.

A frame is a letter, two lengths, a head and a body. To the child: `T` a task (JSON) and the bytes that go
with it, `R` bytes that it asked for. From it: `r` offset and length that it asks for, `b` a piece of the
answer, `d` the closing word (JSON) and the bytes that go with it, `e` why the bytes cannot be read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple

TASK, READ, WANTS, PIECE, DONE, REFUSED = b"T", b"R", b"r", b"b", b"d", b"e"

SPAN = struct.Struct("<QQ")
"""Offset and length of the bytes that a child asks for."""

_SIZES = struct.Struct("<cIQ")

Read = Callable[[int, int], bytes]
"""Bytes of the object that is read: (offset, length) -> as many."""


class Done(NamedTuple):
    """The closing word of a task.

    Attributes:
        result: What JSON can say.
        body: What it cannot.
    """

    result: dict[str, Any]
    body: bytes = b""


Task = Callable[[dict[str, Any], bytes, Read], Iterator[bytes | memoryview | Done]]
"""(what is asked, the bytes that came with it, what reads further ones) -> pieces of the answer, then
Done."""


class Service(NamedTuple):
    """What a module offers to run in a child, as its `SERVICE`.

    Attributes:
        tasks: By the name that a task has under `do`.
        refusal: (what a task raised, bytes of memory that it could have) -> why its bytes cannot be read;
            None where that says nothing of the bytes, and the child ends. A MemoryError comes here only where
            the child had all the memory that it may have.
        prepare: Called before the limits are set.
    """

    tasks: Mapping[str, Task]
    refusal: Callable[[Exception, int], str | None]
    prepare: Callable[[], None] = lambda: None


def send(stream: IO[bytes], kind: bytes, head: bytes = b"", body: bytes | memoryview = b"") -> None:
    stream.write(_SIZES.pack(kind, len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[bytes, bytes, bytes]:
    """Kind, head and body of the next frame. Raises EOFError."""
    sizes = stream.read(_SIZES.size)
    if len(sizes) < _SIZES.size:
        raise EOFError
    kind, of_head, of_body = _SIZES.unpack(sizes)
    head, body = stream.read(of_head), stream.read(of_body)
    if len(head) < of_head or len(body) < of_body:
        raise EOFError
    return kind, head, body
