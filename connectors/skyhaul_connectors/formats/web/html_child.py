"""Pages that may be costly are read in a child process with a limit on CPU time and memory.

The child is started when first needed, serves one page after the other over its standard streams, and
ends when its parent does (its input closes). A page that spends more than `CPU_SECONDS` or crashes the parser
ends the child and is a BadPage; the next costly page starts another. Ordinary pages take milliseconds, so the
limit tells the hostile from the slow on any machine.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import struct
import subprocess
import sys
import threading
from typing import IO

from skyhaul_connectors.formats.web import html_text
from skyhaul_connectors.formats.web.html_text import BadPage, Page
from skyhaul_schemas.errors import StorageError

CPU_SECONDS = 20
MEMORY = 1024**3

_HEAD = struct.Struct("<II")
_CRASHES = {-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL, -signal.SIGFPE}
_local = threading.local()


def extract(raw: bytes, *, charset: str | None = None, main_content: bool = True) -> Page:
    """As `html_text.extract`, here or in the child. Raises BadPage, and StorageError where the child was
    killed from outside (memory was short, say)."""
    small = html_text.is_small(raw)
    if small or html_text.is_cheap(raw):
        return html_text.extract(raw, charset=charset, main_content=main_content, small=small)
    child: _Child | None = getattr(_local, "child", None)
    if child is None or child.ended:
        child = _local.child = _Child()
    return child.extract(raw, {"charset": charset, "main_content": main_content})


class _Child:
    """One child process, owned by the thread that started it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(CPU_SECONDS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=True,
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def extract(self, raw: bytes, options: dict[str, object]) -> Page:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            _send(into, json.dumps(options).encode(), raw)
            answer = _receive(out)
        except (BrokenPipeError, EOFError):
            raise self._gone() from None
        except BaseException:
            self._process.kill()
            raise
        found = json.loads(answer[0])
        if "bad" in found:
            raise BadPage(found["bad"])
        return Page(answer[1].decode("utf-8", "surrogatepass"), **found)

    def _gone(self) -> BadPage | StorageError:
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return BadPage(f"takes more than {CPU_SECONDS} s of CPU time to read")
        if code in _CRASHES:
            return BadPage(f"crashes the HTML parser ({signal.Signals(-code).name})")
        return StorageError(
            f"the reader of HTML pages ended with {code} (out of memory?); run the same command again"
        )


def _send(stream: IO[bytes], head: bytes, body: bytes) -> None:
    stream.write(_HEAD.pack(len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[bytes, bytes]:
    sizes = stream.read(_HEAD.size)
    if len(sizes) < _HEAD.size:
        raise EOFError
    head, body = _HEAD.unpack(sizes)
    both = stream.read(head + body)
    if len(both) < head + body:
        raise EOFError
    return both[:head], both[head:]


def _serve(source: IO[bytes], sink: IO[bytes], cpu_seconds: int) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_AS)[1]
    memory = MEMORY if allowed == resource.RLIM_INFINITY else min(MEMORY, allowed)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        try:
            options, raw = _receive(source)
        except EOFError:
            return
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + cpu_seconds
        # The hard limit stays: it could not be raised for the next one.
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))
        text = b""
        try:
            page = html_text.extract(raw, **json.loads(options))
            text = page.text.encode("utf-8", "surrogatepass")
            found = {"title": page.title, "language": page.language, "encoding": page.encoding}
        except BadPage as bad:
            found = {"bad": str(bad)}
        except MemoryError:
            if memory < MEMORY:
                raise  # less than we allow it: the machine's fault, not the page's
            found = {"bad": f"needs more than {MEMORY} bytes of memory to read"}
        _send(sink, json.dumps(found).encode(), text)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, sys.stdout.buffer, int(sys.argv[1]))
