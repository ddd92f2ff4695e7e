"""The encoding of an HTML page, found as the HTML Standard finds it (section 13.2.3).

In this order: a byte order mark; what is declared from outside (an HTTP header, a job's option); the first
`<meta charset>` or `<meta http-equiv>` of the first 1024 bytes, or an XML declaration's encoding; else what a
later `<meta>` of the head says, or what the bytes look like (UTF-8, or what Resiliparse finds). A label that
the Encoding Standard does not know counts as none. Where the declared one is unknown, a page that is valid
UTF-8 is that, whatever its `<meta>` says.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from resiliparse.parse.encoding import detect_encoding

from skyhaul_connectors.formats.charsets import whatwg
from skyhaul_connectors.formats.charsets.encodings import is_utf8, labelled

PRESCANNED = 1024
"""Bytes of a page that the standard prescans for a declaration."""
_DETECTED = 128 * 1024
"""Bytes in which a later `<meta>` is looked for, and that the detector is given. More would cost time on each
page that declares nothing. Chosen, not measured."""
# Not UTF-32, which HTML does not know: its little-endian mark begins with that of UTF-16.
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16le"), (codecs.BOM_UTF16_BE, "utf-16be"))
# An XML declaration in UTF-16 without a mark.
_XML_BEGUN = ((b"<\0?\0x\0", "utf-16le"), (b"\0<\0?\0x", "utf-16be"))
_WIDE = ("utf-16le", "utf-16be")

# The standard's prescan as expressions: comments, `<meta>`, other tags, and what else `<` opens up to a `>`.
_OPENED = re.compile(rb"<(?:(!--)|(meta)(?=[\t\n\f\r />])|(/?[a-zA-Z][^\t\n\f\r >]*)|[!/?])", re.I)
# "Get an attribute". The closing quote is a group of its own, so that a value that never ends is told.
_ATTRIBUTE = re.compile(
    rb"""[\t\n\f\r /]*([^\t\n\f\r />][^\t\n\f\r />=]*)"""
    rb"""(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)("?)|'([^']*)('?)|([^\t\n\f\r >"'][^\t\n\f\r >]*))?)?"""
)
_IN_CONTENT = re.compile(
    rb"""charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|([^\t\n\f\r ;"'][^\t\n\f\r ;]*))""", re.I
)
# Searched for first: a page without it is spared a second prescan.
_CHARSET = re.compile(rb"charset[\t\n\f\r ]*=", re.I)
_BODY = re.compile(rb"<body[\t\n\f\r />]", re.I)
_XML = re.compile(rb"""<\?xml[^>]*?encoding[\x00-\x20]*=[\x00-\x20]*(["'])([^>"'\x00-\x20]*)\1""")


def encoding_of_page(raw: bytes, declared: str | None) -> tuple[str, int]:
    """Find the encoding of a page.

    Args:
        raw: The page.
        declared: A label from outside (an HTTP header, the job); None if there is none.

    Returns:
        The encoding's name as `whatwg` has it, maybe UNREADABLE; and how many bytes of mark precede the text.
    """
    for mark, name in _MARKS:
        if raw.startswith(mark):
            return name, len(mark)
    if declared is not None:
        known = labelled(declared)
        if known is not None:
            return known, 0
        # Beyond ASCII hardly anything else is valid UTF-8, so that no `<meta>` need be asked.
        if not raw.isascii() and is_utf8(raw):
            return "utf-8", 0
    return prescan(raw[:PRESCANNED]) or _stated_late(raw) or _looked_like(raw), 0


def prescan(head: bytes) -> str | None:
    """The encoding that a page's first bytes declare in `<meta>` or an XML declaration; None if none."""
    for begun, wide in _XML_BEGUN:
        if head.startswith(begun):
            return wide
    at = 0
    while (opened := _OPENED.search(head, at)) is not None:
        at = opened.end()
        if opened[1]:
            # The dashes that open a comment may close it, too: `<!-->` is one.
            end = head.find(b"-->", opened.start() + 2)
            at = len(head) if end < 0 else end + 3
        elif opened[2]:
            found_here = list(_attributes(head, at))
            at = found_here[-1][2] if found_here else at
            # Of an attribute that is given twice, the first counts.
            found = _of_meta({name: value for name, value, _ in reversed(found_here)})
            if found is not None:
                return found
        elif opened[3]:
            # A `<meta>` inside of another tag's quoted value declares nothing.
            at = max((stop for _, _, stop in _attributes(head, at)), default=at)
        else:
            end = head.find(b">", opened.start() + 1)
            at = len(head) if end < 0 else end + 1
    # Last, as the standard has it: a `<meta>` goes before an XML declaration.
    stated = _XML.match(head)
    return _usable(stated[2]) if stated else None


def _attributes(head: bytes, at: int) -> Iterator[tuple[bytes, bytes, int]]:
    """Yield each attribute's name in lower case, its value, and where it ends.

    A value that never ends ends the search.
    """
    while (attribute := _ATTRIBUTE.match(head, at)) is not None:
        name, double, closed, single, closed_too, bare = attribute.groups()
        at = attribute.end()
        value = next((one for one in (double, single, bare) if one is not None), b"")
        if (double is not None and not closed) or (single is not None and not closed_too):
            yield name.lower(), b"", len(head)
            return
        yield name.lower(), value, at


def _of_meta(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        return _usable(attributes[b"charset"])
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    stated = _IN_CONTENT.search(attributes.get(b"content", b""))
    return _usable(next(part for part in stated.groups() if part is not None)) if stated else None


def _usable(label: bytes) -> str | None:
    """The encoding that a declared `label` stands for; None if it is no label.

    A declaration of UTF-16 means UTF-8, since it was just read as ASCII; x-user-defined means windows-1252
    (last steps of the standard's prescan).
    """
    name = labelled(label.decode("latin-1"))
    if name in _WIDE:
        return "utf-8"
    return "windows-1252" if name == "x-user-defined" else name


def _stated_late(raw: bytes) -> str | None:
    """The encoding of a `<meta>` behind the prescanned bytes, where a browser meets it in the head."""
    if _CHARSET.search(raw, 0, _DETECTED) is None:
        return None
    body = _BODY.search(raw, 0, _DETECTED)
    return prescan(raw[: body.start() if body else _DETECTED])


def _looked_like(raw: bytes) -> str:
    # UTF-8 is checked over the whole page, and before the detector, which sees the beginning alone.
    if not raw.isascii() and is_utf8(raw):
        return "utf-8"
    found = str(detect_encoding(raw, max_len=_DETECTED, html5_compatible=True, from_html_meta=True))
    return whatwg.name_of(found) or "windows-1252"
