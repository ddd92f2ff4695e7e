"""Hold a built site to opening offline: no script, style, font or image from elsewhere, no link to nothing.

    python docs/offline.py site

prints a line for each finding and exits with 1, or says what it looked at and exits with 0. Links that a
reader follows by hand (`<a href>`) may lead anywhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    ("script", "src"), ("link", "href"), ("img", "src"), ("img", "srcset"), ("iframe", "src"),
    ("source", "src"), ("source", "srcset"), ("video", "src"), ("audio", "src"), ("object", "data"),
    ("embed", "src"), ("image", "href"), ("use", "href"),
}  # fmt: skip
"""(tag, attribute) that a browser fetches without being asked."""

ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
IN_STYLES = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
IN_SCRIPTS = re.compile(r"""["'`]((?:https?:)?//(?!www\.w3\.org/)[\w.-]+\.[^"'`\s]*)""", re.IGNORECASE)
"""Addresses in string literals. Those of w3.org are names of XML namespaces, which nothing fetches."""


class Page(HTMLParser):
    """What a page loads, and where it links to, as written."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        for name, value in attrs:
            if (tag, name) in LOADS:
                self.loads.append(value or "")
            elif (tag, name) == ("a", "href"):
                self.links.append(value or "")
            elif name == "style":
                self.loads += IN_STYLES.findall(value or "")

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.loads += IN_STYLES.findall(data)
        elif self._inside == "script":
            self.loads += IN_SCRIPTS.findall(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def findings(site: Path) -> Iterator[str]:
    """One line for each thing of the site that needs a network, or is not there."""
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site)
        match path.suffix:
            case ".html":
                page = Page(path.read_text())
                yield from (f"{name}: loads {url}" for url in page.loads if ELSEWHERE.match(url))
                for url in (*page.loads, *page.links):
                    if not urlsplit(url).scheme and not ELSEWHERE.match(url) and not _there(path, url):
                        yield f"{name}: {url} is not there"
            case ".css":
                yield from (f"{name}: loads {url}" for url in IN_STYLES.findall(path.read_text()))
            case ".js":
                yield from (f"{name}: names {url}" for url in IN_SCRIPTS.findall(path.read_text()))


def _there(page: Path, url: str) -> bool:
    """Whether a relative URL names a file. A browser that opens files shows no index of a folder."""
    path = unquote(urlsplit(url).path)
    return not path or (page.parent / path).is_file()


def main(site: Path) -> int:
    pages = sum(1 for _ in site.rglob("*.html"))
    found = list(findings(site))
    for line in found:
        print(line)
    if not pages:
        print(f"{site}: no pages; `make site` builds them")
    elif not found:
        print(f"{pages} pages open offline: nothing comes from elsewhere, all that is linked is there")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
