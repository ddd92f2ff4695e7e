"""What a Content-Type header says, as Fetch reads it, and what bytes are by themselves, as browsers see them.

Standards: Fetch, "extract a MIME type" (https://fetch.spec.whatwg.org/#content-type-header); MIME Sniffing,
"parse a MIME type" and "identifying a resource with an unknown MIME type"
(https://mimesniff.spec.whatwg.org/). Where Fetch finds no type since a parameter follows without a semicolon,
the type before it counts, as in Chromium, and so does a charset behind it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skyhaul_connectors.formats.media.media_type import signature_of

HEAD = 1445
"""Bytes that the MIME Sniffing Standard looks at."""

# HTTP token code points and the shapes of a type and its parameters, as "parse a MIME type" has them. What
# stands between a closing quote and the next semicolon is dropped there.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_ESSENCE = re.compile(rf"[\t\n\r ]*({_TOKEN})/({_TOKEN})[\t\n\r ]*(?:;|$)")
# A type that a space or a comment ends: the standard's parser fails on `text/html charset=utf-8`.
_LOOSE = re.compile(rf"[\t\n\r ]*({_TOKEN})/({_TOKEN})[\t\n\r (]")
_PARAMETER = re.compile(
    r'[\t\n\r ]*([^;=]*)(?:=(?:"((?:[^"\\]|\\.|\\$)*)"?[^;]*|([^;]*)))?(?:;|$)', re.DOTALL
)
_LOOSE_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:+-]{1,40})""", re.I)
# "Get, decode, and split": a comma inside of quotes parts no values.
_VALUE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))*', re.DOTALL)
# HTTP quoted-string token code points: a parameter with any other one is passed over.
_QUOTABLE = re.compile(r"[\t -~\x80-\xff]*")
# What the MIME Sniffing Standard takes for an unknown type, which says no more than a missing one.
_UNKNOWN = frozenset({"*/*", "unknown/unknown", "application/unknown"})

# The JavaScript types of the family `text`; those of `application` are told by their family.
_SCRIPTS = frozenset(
    f"text/{name}"
    for name in (
        *("ecmascript", "javascript", "jscript", "livescript", "x-ecmascript", "x-javascript", "vbscript"),
        *(f"javascript1.{minor}" for minor in range(6)),
    )
)
_NO_DOCUMENTS = {
    **dict.fromkeys(_SCRIPTS, "no text: a script"),
    "text/css": "no text: a style sheet",
    "text/dns": "no text: a DNS answer",
}
# Families, and never the type itself: reasons are keys of each commit record (`PassedOver`), so that they
# come out of a set that is fixed here.
_FAMILIES = frozenset({"application", "audio", "font", "image", "message", "model", "multipart", "video"})

# MIME Sniffing, "identifying a resource with an unknown MIME type": a tag counts with the byte that ends it,
# a comment does without.
_HTML_BEGUN = re.compile(
    rb"[\t\n\x0c\r ]*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body"
    rb"|br|p)[ >])",
    re.I,
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\x0b\x0c\r\x1b")
"""The standard's binary data bytes, which no text has, but for the vertical tab, which plain text has."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """A media type and its charset, as a header states them."""

    essence: str = ""
    """Such as `text/html`, in lower case; empty if no type is stated."""
    charset: str | None = None
    """As it is stated, so maybe no label of any encoding."""


# A crawl has few different headers, and one for each response.
@functools.lru_cache(1024)
def content_type(header: str | None) -> ContentType:
    """Extract the type from a Content-Type header; several headers of that name come joined by `, `."""
    found = ContentType()
    carried: str | None = None
    for value in _values(header or ""):
        parsed = _parsed(value)
        if parsed is None or parsed.essence == "*/*":
            continue
        # Fetch: a value without a charset keeps that of the value before it, if the type is the same.
        if parsed.essence != found.essence:
            carried = parsed.charset
        found = ContentType(parsed.essence, carried if parsed.charset is None else parsed.charset)
    if not found.essence:
        found = next((loose for value in _values(header or "") if (loose := _loose(value)).essence), found)
    return ContentType() if found.essence in _UNKNOWN else found


def _values(header: str) -> Iterator[str]:
    """Split a header at commas outside of quoted strings."""
    at = 0
    while at <= len(header):
        value = _VALUE.match(header, at)
        assert value is not None
        yield value[0]
        at = value.end() + 1


def _parsed(value: str) -> ContentType | None:
    """Parse one value as a MIME type; None if that fails."""
    essence = _ESSENCE.match(value)
    if essence is None:
        return None
    charset: str | None = None
    at = essence.end()
    while at < len(value) and (parameter := _PARAMETER.match(value, at)) is not None:
        at = max(parameter.end(), at + 1)
        name, quoted, plain = parameter.groups()
        if name.lower() != "charset" or charset is not None:
            continue
        text = plain.rstrip("\t\n\r ") if plain is not None else re.sub(r"\\(.)", r"\1", quoted or "")
        # An empty value counts in quotes only.
        if (text or quoted is not None) and _QUOTABLE.fullmatch(text):
            charset = text
    return ContentType(f"{essence[1]}/{essence[2]}".lower(), charset)


def _loose(header: str) -> ContentType:
    essence = _LOOSE.match(header)
    if essence is None:
        return ContentType()
    charset = _LOOSE_CHARSET.search(header, essence.end() - 1)
    return ContentType(f"{essence[1]}/{essence[2]}".lower(), charset[1] if charset else None)


def no_document(essence: str) -> str | None:
    """Say why a body of this type is no document; None if it is text.

    Archives state any type, so only the families that are registered (RFC 6838, section 4.2) are told apart.
    """
    if not essence:
        return "no content type"
    if essence in _NO_DOCUMENTS:
        return _NO_DOCUMENTS[essence]
    family = essence.partition("/")[0]
    if family == "text":
        return None
    return f"no text: {family}/*" if family in _FAMILIES else "no text: another content type"


def begins_html(body: bytes) -> bool:
    """Whether a body without a type is a page: a byte order mark may come before it."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        # Tags are ASCII: without its zero bytes, UTF-16 of either order reads like them.
        body = body[:HEAD].replace(b"\0", b"")[2:]
    return _HTML_BEGUN.match(body.removeprefix(b"\xef\xbb\xbf")) is not None


def binary_type(body: bytes) -> str | None:
    """The media type of a body that is no text, whatever its label says; None for text.

    A signature alone proves nothing, since a text may begin with one: a control character has to follow it,
    except in a PDF, which may have none. A few control characters alone prove nothing either, since pages and
    texts of the web have them. UTF-16 is told by its mark, or by how a page begins in it.
    """
    head = body[:HEAD]
    if head.startswith((*_MARKS, b"<\0", b"\0<")):
        return None
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if not controls:
        return "application/pdf" if head.startswith(b"%PDF-") else None
    found = signature_of(body)
    if found is not None:
        return found
    # One byte in twenty. Chosen, not measured; tests/formats/test_content_types.py holds what has to stay
    # text.
    return "application/octet-stream" if controls * 20 > len(head) else None


def looks_like_text(body: bytes) -> bool:
    """Whether a body that says to be compressed, and cannot be decompressed, was plain text all along."""
    head = body[:HEAD]
    if head.startswith(_MARKS) or begins_html(body):
        return True
    if head.translate(None, _CONTROLS) != head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The end of the head may have cut a character, which has four bytes at most.
        return len(body) > HEAD and error.start >= len(head) - 3
    return bool(head)
