"""The text of side-cars, decoded as the objects of format `text` are."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any

from skyhaul_connectors.formats.charsets import guessing, whatwg
from skyhaul_connectors.formats.charsets.encodings import (
    UTF_8,
    BadText,
    Encoding,
    encoding_named,
    encoding_of,
    marked_or,
)
from skyhaul_connectors.formats.charsets.guessing import LEAST, guess, usual
from skyhaul_connectors.formats.records.json_exact import loads

DETECT = "detect"

_SURROGATE = re.compile("[\ud800-\udfff]")


class SideCarText:
    """Decodes side-cars of images; safe among threads, since it keeps nothing."""

    def __init__(self, encoding: str | None) -> None:
        """Look the encoding up.

        Args:
            encoding: A label of the Encoding Standard, a name that Python knows, `detect`; or None for UTF-8
                and what a byte order mark says.

        Raises:
            UsageError: There is no such encoding.
        """
        self._detects = encoding == DETECT
        self._declared = encoding_named(encoding) if encoding and not self._detects else None

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Library -> version, of those whose output reaches a caption."""
        if self._declared is not None:
            return whatwg.fingerprint()
        if not self._detects:
            return {}
        return {**whatwg.fingerprint(), **guessing.fingerprint()}

    def text(self, raw: bytes) -> str:
        """Decode a text, without its byte order mark. Raises BadText."""
        return self._text(raw, self._encoding(raw))

    def json(self, raw: bytes) -> Any:
        """Parse a JSON text, which may be in any of the encodings. Raises BadText and BadJson."""
        encoding = self._encoding(raw)
        return loads(raw if encoding is UTF_8 else self._text(raw, encoding).encode("utf-8"))

    def _text(self, raw: bytes, encoding: Encoding) -> str:
        try:
            text = encoding.decode(raw)
        except BadText:
            if encoding is UTF_8:
                _say_where(raw)
            raise
        if encoding is not UTF_8 and _SURROGATE.search(text):  # as some of Python's encodings give it
            raise BadText("a lone surrogate")
        return text

    def _encoding(self, raw: bytes) -> Encoding:
        # As `TextDecoder` chooses: tests/formats/test_side_car_text.py holds the two together.
        if self._declared is not None:
            return marked_or(self._declared, raw)
        marked = encoding_of(raw)
        if not self._detects or marked is not UTF_8 or raw.startswith(codecs.BOM_UTF8):
            return marked
        guessed = guess(raw, usual())
        if guessed is None:
            raise BadText("none of the web's encodings fits")
        if guessed.confidence < LEAST:
            likeliest = f"the likeliest encoding is {guessed.encoding.name}"
            raise BadText(f"{likeliest} at a confidence of {guessed.confidence}, below {LEAST}")
        return guessed.encoding


def _say_where(raw: bytes) -> None:
    """Raises BadText that names the byte, where `raw` is no UTF-8."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadText(str(error)) from None
