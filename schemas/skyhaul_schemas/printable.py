"""Text from outside, made safe for one line of a terminal or a log."""

from __future__ import annotations

import re

FOUND_CAP = 80
"""Characters of a found value that a message shows: more would push what is allowed out of sight. Chosen, not
measured."""

SHOWN_CAP = 200
"""Characters of a name or of words out of an object that a message shows: names are mostly shorter, and a
message stays one line that can be read. Chosen, not measured."""

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Letters and marks that are drawn as nothing: Default_Ignorable_Code_Point (Unicode's
DerivedCoreProperties.txt) outside the categories that `str.isprintable` leaves out by itself."""

_DELETE = "\x7f"


def printable(text: str, limit: int | None = None) -> str:
    """`text` with backslash escapes in the place of everything that cannot be seen.

    That is control and format characters (those for the direction of writing and of no width among them),
    separators but the plain space, letters that are drawn as nothing, lone surrogates, and what Unicode has
    not assigned.

    A name that comes from a source can thus neither forge a second log line, nor steer a terminal, nor look
    like another name.

    Args:
        text: To be shown, whoever wrote it.
        limit: Characters of `text` at most; what is cut ends in `…`. Escapes are not counted.
    """
    # Cut before the escapes are made: cut after, half an escape could be left.
    if limit is not None and len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable() and (text.isascii() or _UNSEEN.search(text) is None):
        return text
    return "".join(map(_seen, text))


def brief(text: str) -> str:
    """`printable` of a name or of words out of an object, at most SHOWN_CAP characters of them."""
    return printable(text, SHOWN_CAP)


def json_printable(text: str) -> str:
    """JSON text in which JSON's own escapes stand for what `printable` hides, so that it still says the same.

    Line ends between values stay.
    """
    # Only strings of JSON hold characters beyond ASCII. json.dumps escapes the controls below a space, and
    # leaves the last of ASCII, which is one, too.
    if text.isascii() and _DELETE not in text:
        return text
    return "".join(c if c < _DELETE or _is_seen(c) else _json_escape(c) for c in text)


def _is_seen(c: str) -> bool:
    return c.isprintable() and _UNSEEN.match(c) is None


def _seen(c: str) -> str:
    # A backslash stays, so that `a\b` is shown as it is called: the text is for eyes and is not turned back.
    if c.isascii() and c.isprintable():
        return c
    return c if _is_seen(c) else c.encode("unicode_escape").decode("ascii")


def _json_escape(c: str) -> str:
    # JSON escapes UTF-16 units: a character beyond U+FFFF takes two (RFC 8259, 7).
    units = c.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def describe(value: object) -> str:
    """A found value in words for a message: a scalar's value, cut at FOUND_CAP, else its kind.

    A list or a mapping may hold what must not be shown.
    """
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= FOUND_CAP else f"{text[:FOUND_CAP]}… ({len(text)} characters)"
