"""HTML to text with Resiliparse, behind guards against pages made to hang a parser.

The encoding is found and decoded as a browser does it (`html_encoding`, `whatwg`): bytes that it does not
allow become U+FFFD.

HTML's own algorithm is quadratic in places, and a page can be made so that it is. Refused at once are pages
nested deeper than `MAX_DEPTH` (extraction costs nodes and text times depth; browsers stop at 512 themselves)
and tags with more than `MAX_ATTRIBUTES` (each is compared with all), unless the page `is_small`. Open
formatting elements are opened again in every block, so a page may cost their number times that of its tags:
where that bound is beyond `CHEAP`, the page is read in a child process with a limit on its CPU time
(`html_extraction`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLParserException, HTMLTree

from skyhaul_connectors.formats.charsets import whatwg
from skyhaul_connectors.formats.charsets.encodings import labelled
from skyhaul_connectors.formats.web.html_encoding import encoding_of_page
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.printable import brief

_VERSION = 4
"""Raised whenever a page would give another text, or be refused where it was not."""

MAX_DEPTH = 256
"""Levels of elements in a page. Chosen, not measured: half of what browsers allow."""
MAX_ATTRIBUTES = 4096
"""Attributes of one tag. Chosen, not measured."""

SMALL = 64 * 1024
"""Bytes of a page that is taken as it is where its tags are few: the one made to be the slowest takes half a
second, and looking for it a tenth of the usual page's time."""

CHEAP = 500_000
"""Formatting tags times all tags: about 1 s and 100 MB at worst."""

# The formatting elements that HTML's parser opens again in each block (HTML Standard, 13.2.4.3).
_FORMATTING = re.compile(rb"<(?:a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\t\n\f\r />]", re.I)
_DEEP = " > ".join(["*"] * (MAX_DEPTH + 1))
_NOT_FLAT = " > ".join(["*"] * 48)
"""Most pages are flatter, and a long selector takes longer to parse than to match."""
_LONG = 2 * MAX_ATTRIBUTES
"""Bytes without a `>` that may hold a giant tag: an attribute takes two, a space and a letter."""
_QUOTED_END = re.compile(rb"""=[\t\n\f\r ]*(?:"[^">]*>|'[^'>]*>)""")
_TAG = re.compile(rb"<[a-zA-Z][^\t\n\f\r />]*")
_ATTRIBUTE = re.compile(
    rb"""[\t\n\f\r /]*[^\t\n\f\r />][^\t\n\f\r />=]*"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:"[^"]*"|'[^']*'|[^\t\n\f\r >"'][^\t\n\f\r >]*)?)?"""
)
_SPACES = re.compile(r"[\t\n\f\r ]+")


class BadPage(ValueError):
    """A page that is not extracted; the message says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says."""

    text: str
    title: str | None
    language: str | None
    """As the page states it in `lang`; None if it does not."""
    encoding: str
    """What the bytes were read as, by its name in `whatwg`."""


def fingerprint() -> Mapping[str, str]:
    return {"resiliparse": version("resiliparse"), "skyhaul.html": str(_VERSION), **whatwg.fingerprint()}


def charset_named(name: str) -> str:
    """The standard's name of the encoding that a job calls `name`.

    Raises:
        UsageError: HTML has no such encoding, or the standard lets nothing be decoded from it.
    """
    known = labelled(name)
    if known is None or known == whatwg.UNREADABLE:
        raise ValueRefused(
            f"decode option 'encoding': {brief(name)!r} is no encoding of HTML (utf-8, windows-1252, …)",
            ("decode", "encoding"),
            name,
            "an encoding of HTML (utf-8, windows-1252, …)",
        )
    return known


def is_small(raw: bytes) -> bool:
    """Whether a page costs less than a second, whatever it was made for. It is cheap then, too."""
    # Formatting tags are tags, so that the square of all tags bounds the product that CHEAP is about.
    return len(raw) <= SMALL and raw.count(b"<") ** 2 <= CHEAP


def is_cheap(raw: bytes) -> bool:
    """Whether a page costs no more than a few seconds, whatever it was made for."""
    # From the quickest bound to the closest: the square of all tags; all tags times those that open
    # something; all tags times those that format, which takes an expression over the whole page.
    tags = raw.count(b"<")
    if tags * tags <= CHEAP:
        return True
    return tags * (tags - raw.count(b"</")) <= CHEAP or tags * len(_FORMATTING.findall(raw)) <= CHEAP


def extract(
    raw: bytes, *, charset: str | None = None, main_content: bool = True, small: bool = False
) -> Page:
    """Extract the text of a page, in this process and without a limit on time: see `html_child`.

    Args:
        raw: The page's bytes.
        charset: A label from outside; None if there is none.
        main_content: Whether boilerplate is left out.
        small: What `is_small` said: such a page is spared the guards.

    Raises:
        BadPage: The page is refused, or cannot be parsed.
    """
    # Looked for in the bytes, because parsing the tag is what takes the time.
    if not small and _has_giant_tag(raw):
        raise BadPage(f"a tag with more than {MAX_ATTRIBUTES} attributes")
    encoding, mark = encoding_of_page(raw, charset)
    if encoding == whatwg.UNREADABLE:
        raise BadPage("its charset is one that the Encoding Standard replaces: it is not read")
    try:
        # A str, so that the parser decodes nothing: labels mean what `whatwg` says, in all formats alike.
        tree = HTMLTree.parse(whatwg.decode(raw[mark:], encoding, "replace"))
        root = tree.document
        if root is None or (not small and _is_deep(root)):
            raise BadPage(f"elements nested deeper than {MAX_DEPTH}")
        text = extract_plain_text(tree, main_content=main_content)
        html = root.document_element  # a selector would look through the whole page
        language = html.getattr("lang") if html is not None else None
        title = tree.title
    except HTMLParserException as error:
        raise BadPage(f"unparsable HTML: {' '.join(str(error).split())}") from None
    # As browsers show a title: white space stripped and collapsed (`document.title`).
    title = _SPACES.sub(" ", title or "").strip()
    return Page(text, title or None, (language or "").strip() or None, encoding)


def _is_deep(root: Any) -> bool:
    # Two selectors, which the parser's own code matches: a walk over the tree would be Python's.
    return root.query_selector(_NOT_FLAT) is not None and root.query_selector(_DEEP) is not None


def _has_giant_tag(raw: bytes) -> bool:
    """Whether a tag has more than MAX_ATTRIBUTES.

    A giant tag either holds no `>` over a long stretch, in which it then begins, or hides one inside a quoted
    value: only such stretches, and pages with such a value, are looked at tag by tag. What only looks like a
    tag inside a script may count: it would need thousands of words without a `>`.
    """
    if len(raw) <= 2 * MAX_ATTRIBUTES:  # An attribute takes two bytes.
        return False
    if _QUOTED_END.search(raw):
        return _has_giant_within(raw, 0, len(raw))
    return any(_has_giant_within(raw, start, stop) for start, stop in _long_stretches(raw))


def _has_giant_within(raw: bytes, at: int, stop: int) -> bool:
    """Whether a tag that begins in [at, stop) has more than MAX_ATTRIBUTES."""
    while (tag := _TAG.search(raw, at, stop)) is not None:
        at = tag.end()
        count = 0
        while (attribute := _ATTRIBUTE.match(raw, at)) is not None and attribute.end() > at:
            at = attribute.end()
            count += 1
            if count > MAX_ATTRIBUTES:
                return True
    return False


def _long_stretches(raw: bytes) -> Iterator[tuple[int, int]]:
    """Where `_LONG` bytes and more have no `>`. Looked for backwards: few bytes are looked at."""
    at = 0
    while at + _LONG <= len(raw):
        last = raw.rfind(b">", at, at + _LONG)
        if last < 0:
            last = raw.find(b">", at + _LONG)
            last = len(raw) if last < 0 else last
            yield at, last
        at = last + 1
