"""Index pages of web servers: nginx and Apache autoindex HTML, and nginx's JSON.

Only links to direct children of the folder count. A page is input from outside: whatever else it links
to (sort orders, parents, other hosts) is passed over, and a name that cannot name an object is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote

from skyhaul_connectors.sources.http_url import HttpUrl
from skyhaul_connectors.sources.object_names import fault_in_path
from skyhaul_schemas.errors import MalformedAnswer
from skyhaul_schemas.printable import printable

PAGE_CAP = 64 * 1024 * 1024
"""Bytes of one index page."""


@dataclass(frozen=True, slots=True)
class IndexEntry:
    name: str
    is_folder: bool


def read_index(url: HttpUrl, content_type: str, page: bytes, place: str) -> list[IndexEntry]:
    """The children of the folder `url`, each once, in the page's order. Raises MalformedAnswer."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        found = _json_entries(page, place)
    elif kind in ("text/html", "application/xhtml+xml"):
        found = _html_entries(url, page, place)
    else:
        raise MalformedAnswer(
            f"{place}: no index page but {printable(kind) or 'nothing'}; list the objects instead"
        )
    entries: dict[str, IndexEntry] = {}
    for entry in found:
        fault = fault_in_path(entry.name)
        if fault or "/" in entry.name:
            raise MalformedAnswer(f"{place}: the name {printable(entry.name)!r} {fault or 'holds a slash'}")
        entries.setdefault(entry.name, entry)
    return list(entries.values())


def _json_entries(page: bytes, place: str) -> list[IndexEntry]:
    """nginx: `[{"name": ..., "type": "file"|"directory", ...}]` (ngx_http_autoindex_module)."""
    try:
        listed = json.loads(page)
    except (ValueError, RecursionError):
        listed = None
    entries = []
    for item in listed if isinstance(listed, list) else [None]:
        name, kind = (item.get("name"), item.get("type")) if isinstance(item, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(kind, str):
            raise MalformedAnswer(f"{place}: no JSON index as nginx writes it")
        if kind in ("file", "directory"):
            entries.append(IndexEntry(name, kind == "directory"))
    return entries


def _html_entries(url: HttpUrl, page: bytes, place: str) -> list[IndexEntry]:
    links = _Links()
    try:
        links.feed(page.decode())
        links.close()
    except UnicodeDecodeError:
        raise MalformedAnswer(f"{place}: an index page that is not UTF-8") from None
    entries = []
    for href in links.found:
        entry = _child(url, href, place)
        if entry is not None:
            entries.append(entry)
    return entries


def _child(folder: HttpUrl, href: str, place: str) -> IndexEntry | None:
    """The child that a link leads to, or None where it leads elsewhere."""
    try:
        target = folder.joined(href.strip())
    except ValueError:
        return None
    rest = target.path[len(folder.path) :]
    if target.origin != folder.origin or not target.path.startswith(folder.path) or target.query or not rest:
        return None
    name, slash, more = rest.partition("/")
    if more:
        return None
    try:
        return IndexEntry(unquote(name, errors="strict"), bool(slash))
    except UnicodeDecodeError:
        raise MalformedAnswer(f"{place}: the name {printable(name)!r} is not UTF-8") from None


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.extend(value for name, value in attrs if name == "href" and value)
