"""Character encodings as the WHATWG Encoding Standard defines them (https://encoding.spec.whatwg.org/).

`name_of` gives a label's encoding, `decode` its text. Python's codecs have most of the standard's indexes,
and run in C; `whatwg.json` holds the standard's labels and single-byte indexes, and where an index of several
bytes differs from the codec that is used for it (`codec`): sequences that the codec lacks (`added`), has
otherwise (`changed`) or should not have (`refused`). It was made from the tables of npm's @exodus/bytes
(MIT), which passes the web platform tests; tests compare every sequence of two, three and four bytes.

How many bytes an error takes is the standard's, too: an ASCII byte that ends no character stands for itself.
"""

from __future__ import annotations

import codecs
import functools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = 1
"""Raised whenever bytes under a label would give another text."""

UNREADABLE = "replacement"
"""What the standard calls encodings that nothing is decoded from, since they have been used for attacks."""

_WHITE = "\t\n\x0c\r "
"""ASCII white space, around a label (section 4.2); `str.strip` alone would take more."""

_PYTHON = {"utf-8": "utf-8", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
"""Codecs that decode as the standard does. With an order in the name they keep a byte order mark."""


@functools.cache
def _tables() -> Any:
    return json.loads(Path(__file__).with_suffix(".json").read_text("ascii"))


def fingerprint() -> Mapping[str, str]:
    """For the encoder fingerprint of formats that decode declared encodings."""
    return {"skyhaul.encodings": str(VERSION)}


def name_of(label: str) -> str | None:
    """The encoding that `label` names, in lower case as `TextDecoder.encoding` gives it; None: no label."""
    found: str | None = _tables()["labels"].get(label.strip(_WHITE).lower())
    # GBK has the decoder of gb18030 (section 10.1.1); only their encoders differ.
    return "gb18030" if found == "gbk" else found


def is_single_byte(name: str) -> bool:
    """Whether each byte is a character."""
    return name in _tables()["single"]


def is_known(name: str) -> bool:
    """Whether `name` is an encoding (not a label) that `decode` takes."""
    tables = _tables()
    return name in _PYTHON or name in tables["single"] or name in tables["multi"] or name == "iso-2022-jp"


def decode(raw: bytes, name: str, errors: str = "strict") -> str:
    """Text of `raw`, a byte order mark kept.

    Args:
        raw: The bytes.
        name: An encoding, as `name_of` gives it, and not UNREADABLE.
        errors: `strict`, `replace` or `surrogateescape`.

    Raises:
        UnicodeDecodeError: Under `strict`, with the bytes that the standard counts to the error."""
    if name in _PYTHON:
        return raw.decode(_PYTHON[name], errors)
    if name in _tables()["single"]:
        text: str = codecs.charmap_decode(raw, errors, _charmap(name))[0]
        return text
    if name == "iso-2022-jp":
        return _iso_2022_jp(raw, errors)
    return _index(name).decode(raw, errors)


@functools.cache
def _charmap(name: str) -> str:
    # U+FFFE is what this codec takes for a byte that stands for nothing.
    upper: str = _tables()["single"][name]
    return bytes(range(128)).decode("ascii") + upper.replace("\ufffd", "\ufffe")


def _pieces(errors: str, name: str) -> Callable[[bytes, int, int], str]:
    """What stands for the invalid bytes [start, stop)."""

    def strict(raw: bytes, start: int, stop: int) -> str:
        raise UnicodeDecodeError(name, raw, start, stop, "illegal byte sequence")

    def escaped(raw: bytes, start: int, stop: int) -> str:
        return raw[start:stop].decode("ascii", "surrogateescape")

    def replaced(raw: bytes, start: int, stop: int) -> str:
        return "\ufffd"

    return {"strict": strict, "surrogateescape": escaped, "replace": replaced}[errors]


@dataclass(frozen=True)
class _Index:
    """One encoding of several bytes a character.

    Where the codec gives a changed sequence a character that nothing else gives, the text is translated;
    `doubtful` finds the others, and may find them across characters, too. `telltale` finds what the codec
    gives for what is refused. Where one of them finds something, the text is read a character at a time.
    """

    name: str
    codec: str
    added: dict[bytes, str]
    changed: dict[bytes, str]
    refused: frozenset[bytes]
    translated: dict[str, str]
    doubtful: re.Pattern[bytes] | None
    telltale: re.Pattern[str]
    length: Callable[[bytes, int], int]

    def decode(self, raw: bytes, errors: str) -> str:
        # Character by character costs a call each; it is for the rare texts that need it.
        if self.doubtful is not None and self.doubtful.search(raw):
            return self._slowly(raw, errors)
        text = raw.decode(self.codec, _handler(self.name, errors))
        if text.isascii():
            return text
        if self.refused and self.telltale.search(text):
            return self._slowly(raw, errors)
        found = {old: new for old, new in self.translated.items() if old in text}
        if found.keys() & set(found.values()):
            return text.translate({ord(old): new for old, new in found.items()})  # two are swapped
        for old, new in found.items():
            text = text.replace(old, new)  # several times faster than `translate`
        return text

    def character(self, raw: bytes, at: int) -> tuple[str | None, int]:
        """The character at `at` and its bytes; None for an error, with the bytes that it takes."""
        size = self.length(raw, at)
        piece = raw[at : at + size]
        text = self.changed.get(piece) or self.added.get(piece)
        if text is None and piece not in self.refused:
            try:
                text = piece.decode(self.codec)
            except UnicodeDecodeError:
                text = None
        # The standard gives an ASCII byte back to its input, so that a cut-off lead byte eats no quote or
        # line end behind it. gb18030 has digits as second bytes of four: there the input ends within the
        # four.
        if text is None and size == 2 and piece[1] < 0x80:
            is_cut_off = self.name == "gb18030" and 0x30 <= piece[1] <= 0x39
            return None, 2 if is_cut_off else 1
        return text, size

    def _slowly(self, raw: bytes, errors: str) -> str:
        invalid = _pieces(errors, self.name)
        out: list[str] = []
        at = 0
        while at < len(raw):
            text, size = self.character(raw, at)
            out.append(invalid(raw, at, at + size) if text is None else text)
            at += size
        return "".join(out)


@functools.cache
def _index(name: str) -> _Index:
    table = _tables()["multi"][name]
    added, changed = ({bytes.fromhex(k): v for k, v in table[key].items()} for key in ("added", "changed"))
    refused = frozenset(bytes.fromhex(k) for k in table["refused"])
    codec = table["codec"]
    pairs = (bytes((lead, trail)) for lead in range(0x81, 0xFF) for trail in range(0x30, 0xFF))
    # A character that two sequences give cannot be translated in the text: which one it came from is lost.
    given = Counter(pair.decode(codec, "ignore") for pair in pairs)
    translated: dict[str, str] = {}
    doubtful = []
    for raw, right in changed.items():
        text = raw.decode(codec)
        if text.isascii() or given[text] > 1:
            doubtful.append(raw)
        else:
            translated[text] = right
    pattern = re.compile(b"|".join(re.escape(raw) for raw in sorted(doubtful))) if doubtful else None
    telltale = re.compile("|".join(sorted(raw.decode(codec) for raw in refused)))
    return _Index(name, codec, added, changed, refused, translated, pattern, telltale, _LENGTHS[name])


@functools.cache
def _handler(name: str, errors: str) -> str:
    """The name of an error handler that goes on as the standard does."""
    index, invalid = _index(name), _pieces(errors, name)

    def handle(error: UnicodeError) -> tuple[str | bytes, int]:
        assert isinstance(error, UnicodeDecodeError)
        text, size = index.character(error.object, error.start)
        stop = error.start + size
        return (invalid(error.object, error.start, stop) if text is None else text), stop

    handler = f"whatwg-{name}-{errors}"
    # The registry is the process's and keeps the handler for good; the name says whose it is.
    codecs.register_error(handler, handle)
    return handler


# How many bytes of `raw` the character at `at` takes, by its first ones: sections 10.2.1, 11.1.1, 12.1.1,
# 12.3.1 and 13.1.1. Whether they stand for anything is not looked at.
def _pair(raw: bytes, at: int) -> int:
    return 1 if raw[at] < 0x80 or at + 1 >= len(raw) else 2


def _shift_jis(raw: bytes, at: int) -> int:
    lead = raw[at]
    return _pair(raw, at) if 0x81 <= lead <= 0x9F or 0xE0 <= lead <= 0xFC else 1


def _double_byte(raw: bytes, at: int) -> int:
    return _pair(raw, at) if 0x81 <= raw[at] <= 0xFE else 1


def _euc_jp(raw: bytes, at: int) -> int:
    lead = raw[at]
    if lead == 0x8F and at + 1 < len(raw) and 0xA1 <= raw[at + 1] <= 0xFE:
        # The third byte belongs to it unless it is ASCII.
        return 2 if at + 2 < len(raw) and raw[at + 2] < 0x80 else min(3, len(raw) - at)
    return _pair(raw, at) if lead in (0x8E, 0x8F) or 0xA1 <= lead <= 0xFE else 1


def _gb18030(raw: bytes, at: int) -> int:
    if not 0x81 <= raw[at] <= 0xFE:
        return 1
    four = raw[at : at + 4]
    if len(four) < 2 or not 0x30 <= four[1] <= 0x39:
        return _pair(raw, at)
    # Section 10.2.1: four bytes that do not fit give back all but the first.
    if (len(four) > 2 and not 0x81 <= four[2] <= 0xFE) or (len(four) > 3 and not 0x30 <= four[3] <= 0x39):
        return 1
    return len(four)


_LENGTHS = {
    "shift_jis": _shift_jis,
    "euc-jp": _euc_jp,
    "euc-kr": _double_byte,
    "big5": _double_byte,
    "gb18030": _gb18030,
}

_ESCAPES = {b"(B": "ascii", b"(J": "roman", b"(I": "katakana", b"$@": "double", b"$B": "double"}


def _iso_2022_jp(raw: bytes, errors: str) -> str:
    """Section 12.2.1 of the standard. Two escapes with nothing between them are an error."""
    invalid = _pieces(errors, "iso-2022-jp")
    out: list[str] = []
    state, has_output, at = "ascii", False, 0
    while at < len(raw):
        byte = raw[at]
        if byte == 0x1B:
            entered = _ESCAPES.get(raw[at + 1 : at + 3])
            if entered is None:
                out.append(invalid(raw, at, at + 1))
                has_output = False
                at += 1
                continue
            if has_output:
                out.append(invalid(raw, at, at + 3))
            state, has_output = entered, True
            at += 3
            continue
        has_output = False
        size = 2 if state == "double" and 0x21 <= byte <= 0x7E and at + 1 < len(raw) else 1
        if size == 2 and raw[at + 1] == 0x1B:
            size = 1
        text = _iso_2022_jp_character(raw[at : at + size], state)
        out.append(invalid(raw, at, at + size) if text is None else text)
        at += size
    return "".join(out)


def _iso_2022_jp_character(piece: bytes, state: str) -> str | None:
    byte = piece[0]
    if state == "double":
        if len(piece) != 2 or not 0x21 <= piece[1] <= 0x7E:
            return None
        # Both have the index of JIS X 0208 (section 12.2.1); EUC-JP has its bytes with the highest bit set.
        return _index("euc-jp").character(bytes(one | 0x80 for one in piece), 0)[0]
    if state == "katakana":
        return chr(0xFF61 - 0x21 + byte) if 0x21 <= byte <= 0x5F else None
    # Shift out and shift in are errors, not characters (section 12.2.1).
    if byte > 0x7F or byte in (0x0E, 0x0F):
        return None
    return {0x5C: "¥", 0x7E: "‾"}.get(byte, chr(byte)) if state == "roman" else chr(byte)
