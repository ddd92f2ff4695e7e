"""Names and values from outside in the messages of decoders: printable, and short."""

from __future__ import annotations

from skyhaul_schemas import printable as rules


def printable(text: str, limit: int = 200) -> str:
    """`text` as `skyhaul_schemas.printable` shows it, cut at `limit` characters."""
    return rules.printable(text if len(text) <= limit else text[: limit - 1] + "…")
