"""The links of an HTML page as a browser finds them, and those of a Link header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skyhaul_schemas.errors import MalformedAnswer

if TYPE_CHECKING:
    from resiliparse.parse.html import ElementNode

_WITH_ADDRESS = frozenset(("a", "area", "base", "link"))
_FOLDER = re.compile("/(?:[?#]|$)")
_DROPPED = re.compile(r"[\t\r\n]")
_EDGES = "".join(map(chr, range(0x21)))
"""Controls and the space, which are cut off both ends of an address (WHATWG URL, basic URL parser)."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
_UNICODE = frozenset(("utf-8", "utf8", "unicode-1-1-utf-8"))
_LINK_VALUE = re.compile(
    r"""<([^<>]*)>((?:\s*;\s*[^\s=;,"<>]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)""", re.DOTALL
)
"""A target and its parameters (RFC 8288, section 3)."""
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """href: the address, cleaned as a browser cleans it, with what cannot stand in a URL percent-encoded.
    is_next: the page says that it goes on there (`rel=next`). text_is_folder: what is shown for it ends in
    a slash, and the address does not."""

    href: str
    is_next: bool = False
    text_is_folder: bool = False


@dataclass(frozen=True, slots=True)
class LinkPage:
    """base: the address of `<base>`, where there is one."""

    base: str | None
    links: list[Link]


def html_links(page: bytes, content_type: str, place: str) -> LinkPage:
    """In the page's order. Raises MalformedAnswer for a page whose text cannot be told."""
    from resiliparse.parse.html import ElementNode, HTMLParserException, HTMLTree

    text, sure = _text_of(page, content_type, place)
    try:
        document = HTMLTree.parse(text).document
    except HTMLParserException:
        raise MalformedAnswer(f"{place}: HTML that cannot be parsed") from None
    base: str | None = None
    links = []
    # A walk: what a selector finds is searched for anew at each step through it.
    for node in document or ():
        if not isinstance(node, ElementNode) or node.tag not in _WITH_ADDRESS:
            continue
        href = node.getattr("href")
        if href is None:
            continue
        if not sure and not href.isascii():
            raise MalformedAnswer(f"{place}: a link that is neither ASCII nor, for sure, UTF-8")
        href = _cleaned(href)
        is_next = "next" in (node.getattr("rel") or "").lower().split()
        if node.tag == "base":
            base = href if base is None else base
        elif node.tag != "link":
            links.append(Link(href, is_next, _shows_folder(node) and not _FOLDER.search(href)))
        elif is_next:
            links.append(Link(href, is_next))
    return LinkPage(base, links)


def _shows_folder(node: ElementNode) -> bool:
    """Whether the link's own text, not that of elements in it, ends in a slash."""
    last = node.last_child
    return last is not None and last.tag == "#text" and (last.value or "").rstrip().endswith("/")


def next_links(header: str) -> Iterator[str]:
    """Targets of `rel=next` in Link header fields."""
    for target, parameters in _LINK_VALUE.findall(header):
        rel = _REL.search(parameters)
        if rel is not None and "next" in (rel[1] or rel[2] or "").lower().split():
            yield _cleaned(target)


def _text_of(page: bytes, content_type: str, place: str) -> tuple[str, bool]:
    """The text, and whether it is surely what the page means beyond ASCII."""
    if page.startswith((b"\xfe\xff", b"\xff\xfe")) or b"\0" in page:
        raise MalformedAnswer(f"{place}: an index page that is not UTF-8")
    stated = _CHARSET.search(content_type) or _CHARSET.search(page[:1024].decode("latin-1"))
    try:
        return page.decode("utf-8-sig"), stated is None or stated[1].lower() in _UNICODE
    except UnicodeDecodeError:
        return page.decode("latin-1"), False


def _cleaned(href: str) -> str:
    """As HTML and the URL standard have it: tabs and line ends are dropped wherever they are, a backslash in
    the path is a slash."""
    text = _DROPPED.sub("", href.strip(_EDGES))
    text = _CONTROLS.sub(lambda match: f"%{ord(match[0]):02X}", text)
    path, mark, rest = re.fullmatch(r"([^?#]*)([?#]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    return path.replace("\\", "/") + mark + rest
