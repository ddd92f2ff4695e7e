"""Plain text, whole, by line or by paragraph."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _text() -> Implementation:
    from skyhaul_connectors.formats.text.decoder import TextDecoder, TextOptions

    return Implementation(TextOptions, TextDecoder)


TEXT = Format(
    name="text",
    about="a text, or each paragraph of it",
    schemas=("document", "own"),
    suffixes=(".txt", ".text", ".md", ".markdown", ".rst", ".py", ".log", ".tex", ".org"),
    load=_text,
)
