"""Names and values from outside, made safe for one line of a message."""

from __future__ import annotations


def printable(text: str, limit: int = 200) -> str:
    """`text` with control characters and lone surrogates escaped, cut at `limit` characters."""
    shown = text if len(text) <= limit else text[: limit - 1] + "…"
    if shown.isprintable():
        return shown
    return "".join(
        c if c.isprintable() or c == " " else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in shown
    )
