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
"""Elements whose `href` leads somewhere (HTML standard). `src` names pictures of the page itself."""
_FOLDER = re.compile("/(?:[?#]|$)")
"""A path that ends in a slash, whatever query or fragment follows."""
_DROPPED = re.compile(r"[\t\r\n]")
"""Dropped wherever they are (WHATWG URL)."""
_EDGES = "".join(map(chr, range(0x21)))
"""Controls and the space, which are cut off both ends of an address (WHATWG URL, basic URL parser)."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
"""Those that are left; none may reach a request line."""
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
"""In a Content-Type, and in a `<meta>` of either form."""
_UNICODE = frozenset(("utf-8", "utf8", "unicode-1-1-utf-8"))
"""Labels of UTF-8 (WHATWG Encoding)."""
_LINK_VALUE = re.compile(
    r"""<([^<>]*)>((?:\s*;\s*[^\s=;,"<>]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)""", re.DOTALL
)
"""A target and its parameters (RFC 8288, section 3)."""
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """One link.

    Attributes:
        href: The address, cleaned as a browser cleans it; controls are percent-encoded.
        is_next: The page says that it goes on there (`rel=next`).
        text_is_folder: The text that is shown for it ends in a slash, and the address does not.
    """

    href: str
    is_next: bool = False
    text_is_folder: bool = False


@dataclass(frozen=True, slots=True)
class LinkPage:
    """All links of a page. `base`: the address of its `<base>`, or None."""

    base: str | None
    links: list[Link]


def html_links(page: bytes, content_type: str, place: str) -> LinkPage:
    """The links in the page's order. Raises MalformedAnswer for a page whose text cannot be told."""
    # A parser that recovers from bad markup as browsers do; regular expressions find links in comments and
    # scripts, and miss unquoted ones. Imported here, since few plans read index pages.
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
        # Servers percent-encode names; one that does not, in a page of another or unknown encoding, may mean
        # any.
        if not sure and not href.isascii():
            raise MalformedAnswer(f"{place}: a link that is neither ASCII nor, for sure, UTF-8")
        href = _cleaned(href)
        is_next = "next" in (node.getattr("rel") or "").lower().split()
        if node.tag == "base":
            # The first one counts (HTML standard).
            base = href if base is None else base
        elif node.tag != "link":
            links.append(Link(href, is_next, _shows_folder(node) and not _FOLDER.search(href)))
        elif is_next:  # other `<link>`s are icons and style sheets
            links.append(Link(href, is_next))
    return LinkPage(base, links)


def _shows_folder(node: ElementNode) -> bool:
    """Whether the link's own text, not that of elements in it, ends in a slash."""
    # A server may list a folder without the slash in its address, and lead there by a redirect.
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
    # A NUL is in every UTF-16 page of ASCII links, also in one without a byte order mark.
    if page.startswith((b"\xfe\xff", b"\xff\xfe")) or b"\0" in page:
        raise MalformedAnswer(f"{place}: an index page that is not UTF-8")
    # As browsers look for it: the header first, then the page's first 1024 bytes (HTML standard).
    stated = _CHARSET.search(content_type) or _CHARSET.search(page[:1024].decode("latin-1"))
    try:
        # What decodes as UTF-8 nearly always is; a page that states otherwise is believed for its ASCII only.
        return page.decode("utf-8-sig"), stated is None or stated[1].lower() in _UNICODE
    except UnicodeDecodeError:
        return page.decode("latin-1"), False


def _cleaned(href: str) -> str:
    """An address as the WHATWG URL standard reads it.

    Without tabs and line ends, wherever they are, and with backslashes in the path as slashes.
    """
    text = _DROPPED.sub("", href.strip(_EDGES))
    text = _CONTROLS.sub(lambda match: f"%{ord(match[0]):02X}", text)
    path, mark, rest = re.fullmatch(r"([^?#]*)([?#]?)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]  # it matches any text
    return path.replace("\\", "/") + mark + rest
