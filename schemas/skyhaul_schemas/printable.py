"""Text from outside, made safe for one line of a terminal or a log."""

from __future__ import annotations

FOUND_CAP = 80
"""Characters of a found value that a message shows."""


def printable(text: str) -> str:
    """`text` with control, format and separator characters, and lone surrogates, as backslash escapes.

    A name that comes from a source can thus neither forge a second log line nor steer a terminal.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def describe(value: object) -> str:
    """What was found, for a message: the value of a scalar (cut at FOUND_CAP), the kind of anything else,
    because a list or a mapping may hold what must not be shown."""
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
