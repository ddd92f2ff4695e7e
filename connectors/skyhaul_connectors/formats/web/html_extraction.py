"""Pages that may be costly are read in a child process with a limit on CPU time and memory (`isolated`).

A page that spends more than the child may, or crashes the parser, is a BadPage; the next costly page starts
another child. Ordinary pages take milliseconds, so the limit tells the hostile from the slow on any machine.
"""

from __future__ import annotations

from skyhaul_connectors.formats.bytes.stream import Broken
from skyhaul_connectors.formats.isolated.reader import IsolatedReader
from skyhaul_connectors.formats.web import html_text
from skyhaul_connectors.formats.web.html_text import BadPage, Page

READER = IsolatedReader(
    "skyhaul_connectors.formats.web.html_child", memory=1024**3, cpu_seconds=20, name="the HTML parser"
)


def extract(raw: bytes, *, charset: str | None = None, main_content: bool = True) -> Page:
    """As `html_text.extract`, here or in the child.

    Raises:
        BadPage: The page is not read.
        StorageError: The child was killed from outside (memory was short, say).
    """
    small = html_text.is_small(raw)
    if small or html_text.is_cheap(raw):
        return html_text.extract(raw, charset=charset, main_content=main_content, small=small)
    task = {"do": "extract", "charset": charset, "main_content": main_content}
    try:
        found = READER.answer(task, given=raw)
    except Broken as broken:
        raise BadPage(broken.reason) from None
    return Page(found.body.decode("utf-8", "surrogatepass"), **found.result)
