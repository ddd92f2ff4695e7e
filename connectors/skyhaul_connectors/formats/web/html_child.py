"""What the child process does with a page: its text (see `html_extraction`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from skyhaul_connectors.formats.isolated.protocol import Done, Read, Service
from skyhaul_connectors.formats.web import html_text
from skyhaul_connectors.formats.web.html_text import BadPage

_LARGE = 16 * 1024**2


def _extract(task: dict[str, Any], raw: bytes, read: Read) -> Iterator[Done]:
    page = html_text.extract(raw, charset=task["charset"], main_content=task["main_content"])
    head = {"title": page.title, "language": page.language, "encoding": page.encoding}
    yield Done(head, page.text.encode("utf-8", "surrogatepass"))


def _refusal(error: Exception, memory: int) -> str | None:
    if isinstance(error, MemoryError):
        return f"needs more than {memory} bytes of memory to read"
    return str(error) if isinstance(error, BadPage) else None


def _keep_memory() -> None:
    """Let the heap keep the parser's memory from page to page.

    glibc keeps only blocks smaller than the largest that was ever given back, 128 KiB at first (mallopt(3),
    M_MMAP_THRESHOLD), and the parser's are larger. Taken anew each time, they are a quarter of a small page's
    time here, measured over pages that follow one another in one child.
    """
    bytes(_LARGE)


SERVICE = Service({"extract": _extract}, _refusal, _keep_memory)
