"""What a Content-Type header says, as Fetch reads it, and what bytes are by themselves, as browsers see them.

Standards: Fetch, "extract a MIME type" (https://fetch.spec.whatwg.org/#content-type-header); MIME Sniffing,
"parse a MIME type" and "identifying a resource with an unknown MIME type" (https://mimesniff.spec.whatwg.org/).
Where Fetch finds no type since a parameter follows without a semicolon, the type before it counts, as in
Chromium, and so does a charset behind it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from skyhaul_connectors.formats.media.media_type import signature_of

HEAD = 1445
"""Bytes that the MIME Sniffing Standard looks at."""

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_ESSENCE = re.compile(rf"[\t\n\r ]*({_TOKEN})/({_TOKEN})[\t\n\r ]*(?:;|$)")
_LOOSE = re.compile(rf"[\t\n\r ]*({_TOKEN})/({_TOKEN})[\t\n\r (]")
_PARAMETER = re.compile(
    r'[\t\n\r ]*([^;=]*)(?:=(?:"((?:[^"\\]|\\.|\\$)*)"?[^;]*|([^;]*)))?(?:;|$)', re.DOTALL
)
_LOOSE_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_.:+-]{1,40})""", re.I)
_VALUE = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|$))*', re.DOTALL)
_QUOTABLE = re.compile(r"[\t -~\x80-\xff]*")
_UNKNOWN = frozenset({"*/*", "unknown/unknown", "application/unknown"})

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
_FAMILIES = frozenset({"application", "audio", "font", "image", "message", "model", "multipart", "video"})

_HTML_BEGUN = re.compile(
    rb"[\t\n\x0c\r ]*<(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body"
    rb"|br|p)[ >])",
    re.I,
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\x0b\x0c\r\x1b")
"""That no text has. Of a vertical tab the standard says so, too, but plain text has it."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """essence: `text/html`, lower case; empty where no type is stated. charset: as stated, or None."""

    essence: str = ""
    charset: str | None = None


@functools.lru_cache(1024)
def content_type(header: str | None) -> ContentType:
    """What a header says; where there are several of one name, joined by `, `."""
    found = ContentType()
    carried: str | None = None
    for value in _values(header or ""):
        parsed = _parsed(value)
        if parsed is None or parsed.essence == "*/*":
            continue
        if parsed.essence != found.essence:
            carried = parsed.charset
        found = ContentType(parsed.essence, carried if parsed.charset is None else parsed.charset)
    if not found.essence:
        found = next((loose for value in _values(header or "") if (loose := _loose(value)).essence), found)
    return ContentType() if found.essence in _UNKNOWN else found


def _values(header: str) -> Iterator[str]:
    """Split at commas outside of quoted strings."""
    at = 0
    while at <= len(header):
        value = _VALUE.match(header, at)
        assert value is not None
        yield value[0]
        at = value.end() + 1


def _parsed(value: str) -> ContentType | None:
    """Parse a MIME type: None for a failure."""
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
    """Why what has this type is no document; None where it is text. Archives state any type, so that only the
    known families of RFC 6838 are told apart."""
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
        body = body[:HEAD].replace(b"\0", b"")[2:]
    return _HTML_BEGUN.match(body.removeprefix(b"\xef\xbb\xbf")) is not None


def binary_type(body: bytes) -> str | None:
    """What a body is that is no text, whatever it is labelled as; None for text.

    A signature counts with a control character behind it, since texts may begin like that; a PDF may have
    none. Few control characters alone are no proof: pages and texts of the web have them. UTF-16 is told by
    its mark, or by how a page begins in it.
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
    return "application/octet-stream" if controls * 20 > len(head) else None


def looks_like_text(body: bytes) -> bool:
    """Whether a body that cannot be decompressed is plain already."""
    head = body[:HEAD]
    if head.startswith(_MARKS) or begins_html(body):
        return True
    if head.translate(None, _CONTROLS) != head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(body) > HEAD and error.start >= len(head) - 3
    return bool(head)
