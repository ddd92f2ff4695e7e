"""Text encodings: declared, or told by a byte order mark.

Names are labels of the WHATWG Encoding Standard, and mean what they mean to a browser: `latin1` and `ascii`
are windows-1252, `shift_jis` is windows-31j, `gb2312` is gb18030. What only Python knows (`cp437`, `utf-32`,
EBCDIC) a job may name, too.
"""

from __future__ import annotations

import codecs
import functools
import sys
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from skyhaul_connectors.formats.charsets import whatwg
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.printable import brief, printable

# UTF-32's marks stand before UTF-16's: the little-endian one of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
# One look at the first byte saves five comparisons a record; hardly any record begins with a mark.
_FIRST_OF_MARKS = frozenset(mark[:1] for mark, _ in _MARKS)
_DOUBLE_BYTE = {
    *("big5", "euc-jp", "euc-kr", "gb18030", "shift_jis", "utf-8"),
    *("cp950", "euc_jis_2004", "euc_jisx0213", "johab", "shift_jis_2004", "shift_jisx0213"),
}
"""Stateless encodings of several bytes a character in which the bytes of ASCII white space are nothing else:
no later byte is below 0x30. The second line: those that the standard lacks, by Python's names."""

_ALIASES = {
    "big5hkscs": "big5",
    "cp874": "windows-874",
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "euc_jp": "euc-jp",
    "euc_kr": "euc-kr",
    "iso2022_jp": "iso-2022-jp",
    "iso8859-16": "iso-8859-16",
    "mac-roman": "macintosh",
    "utf-16-be": "utf-16be",
    "utf-16-le": "utf-16le",
    "utf-8-sig": "utf-8",
}
"""Python's names of encodings that are the standard's, where they are no labels."""
_SHORT = 4096
"""Bytes below which decoding costs less than a call of Arrow."""
_BLANKS = b"\t\n\x0b\x0c\r "
"""What a single-byte encoding must have where ASCII has it, to be cut at line ends; EBCDIC has not."""


class BadText(ValueError):
    """Bytes that the encoding does not allow; the message says which and where."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text encoding.

    Attributes:
        name: The standard's name for it in lower case, or Python's.
        cuttable: Whether the bytes of ASCII white space stand for nothing else in it, so that lines may be
            found in the bytes.
        stateless: Whether encoding a piece of decoded text gives its bytes back, so that offsets can be
            counted."""

    name: str
    cuttable: bool
    stateless: bool

    def decode(self, raw: bytes) -> str:
        """Text of `raw`, without a byte order mark at its start. Raises BadText."""
        for mark, name in _MARKS if raw[:1] in _FIRST_OF_MARKS else ():
            # `utf-32` states no order and takes either mark; without a mark it is in the machine's order, as
            # Python has it.
            is_order = self.name == "utf-32" and name.startswith("utf-32")
            if raw.startswith(mark) and (name == self.name or is_order):
                return _decode(raw[len(mark) :], name)
        return _decode(raw, self.name)

    def text(self, raw: bytes) -> str | bytes:
        """As `decode`, but text that is UTF-8 already stays bytes, for Arrow to take as they are."""
        if self.name != "utf-8":
            return self.decode(raw)
        # Arrow would take a byte 0 in a text; here it is refused in every encoding, as JSON lines refuse it.
        if not is_utf8(raw) or b"\0" in raw:
            return self.decode(raw)  # raises, and says where
        return raw.removeprefix(codecs.BOM_UTF8)

    def escaped(self, raw: bytes) -> str:
        """Text of `raw`, a byte order mark kept; bytes that are not allowed become lone surrogates."""
        return _text(raw, self.name, "surrogateescape")

    def plain(self, raw: bytes) -> str:
        """Name of Python's codec that gives the bytes of `raw` back without adding a byte order mark."""
        if self.name != "utf-32":
            return self.name
        for mark, name in _MARKS:
            if raw.startswith(mark) and name.startswith(self.name):
                return name
        return self.name + ("-le" if sys.byteorder == "little" else "-be")


def is_utf8(raw: bytes) -> bool:
    """Whether `raw` is valid UTF-8; Arrow's check of a long one is several times faster than decoding."""
    if raw.isascii():
        return True
    if len(raw) < _SHORT:
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return True
    # An array of one text that lies over `raw` itself: full validation checks its UTF-8 without a copy.
    offsets = pa.py_buffer(np.array([0, len(raw)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_utf8(), 1, [None, offsets, pa.py_buffer(raw)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def encoding_named(name: str) -> Encoding:
    """The encoding that a job names, by a label or by a name that Python knows.

    Raises:
        UsageError: There is no such text encoding, or the standard does not allow it to be read."""
    found = labelled(name)
    if found is not None and found != whatwg.UNREADABLE:
        return _encoding(found)
    shown = f"decode option 'encoding': {brief(name)!r}"
    if found is not None:
        why = "(the Encoding Standard replaces it); convert the objects to UTF-8"
        said = f"{shown} is not read {why}"
        raise ValueRefused(said, ("decode", "encoding"), name, f"an encoding that is read {why}")
    try:
        info = codecs.lookup(name)
        # Python's registry also has codecs from text to text or bytes to bytes (rot13, zlib). This attribute
        # is what `bytes.decode` itself refuses them by.
        known = info._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        said = "text encoding (utf-8, windows-1252, …)"
        raise ValueRefused(f"{shown} is no {said}", ("decode", "encoding"), name, f"a {said}")
    return _encoding(info.name)


def encoding_labelled(label: str) -> Encoding | None:
    """The encoding of a label in the data; None for one that the standard does not know.

    Raises:
        BadText: For one that the standard does not allow to be read."""
    found = labelled(label)
    if found == whatwg.UNREADABLE:
        raise BadText(f"charset {printable(label, 40)!r} is not read: the Encoding Standard replaces it")
    return None if found is None else _encoding(found)


@functools.lru_cache(256)
def labelled(label: str) -> str | None:
    """The standard's name for the encoding that a label names, in quotes or not; None where there is none.

    It may be one that Python has another name for (`_ALIASES`), or whatwg.UNREADABLE. Labels come out of
    pages: the cache is bounded, since a hostile archive may have a new one in each record."""
    found = whatwg.name_of(label) or whatwg.name_of(label.strip("\"' "))
    if found is not None:
        return found
    try:
        python = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    return _ALIASES.get(python) or whatwg.name_of(python)


def encoding_of(head: bytes) -> Encoding:
    """What the byte order mark at the start of an object says; UTF-8 without one."""
    if head[:1] in _FIRST_OF_MARKS:
        for mark, name in _MARKS:
            if head.startswith(mark):
                return _encoding(name)
    return UTF_8


def marked_or(declared: Encoding, head: bytes) -> Encoding:
    """The encoding that the byte order mark at the start of an object says, else the declared one.

    The mark goes before a label (Encoding Standard, 6, decode)."""
    marked = encoding_of(head)
    if marked is UTF_8 and not head.startswith(codecs.BOM_UTF8):
        return declared
    # In an encoding that only Python has (EBCDIC, say) the mark's bytes may be characters.
    return marked if whatwg.is_known(declared.name) else declared


@functools.lru_cache(256)
def _encoding(name: str) -> Encoding:
    single = _is_single_byte(name)
    blank = name in _DOUBLE_BYTE or (single and _text(_BLANKS, name) == _BLANKS.decode("ascii"))
    # UTF-16 and UTF-32 are counted by a name that states their order (`plain`): without it each line that is
    # encoded again would get a mark.
    counted = single or name in _DOUBLE_BYTE or name.startswith(("utf-16", "utf-32"))
    return Encoding(name, blank, counted)


def _is_single_byte(name: str) -> bool:
    if whatwg.is_known(name):
        return whatwg.is_single_byte(name)
    # Codecs that keep a state or have no fixed length; the count below might take one for a single-byte
    # encoding.
    if name.startswith(("utf", "iso2022", "hz", "unicode_escape", "raw_unicode", "idna", "punycode")):
        return False
    try:
        # A single-byte codec gives one character for each byte, if only a replacement; of several bytes some
        # join.
        return len(bytes(range(128, 256)).decode(name, "replace")) == 128 and name not in _DOUBLE_BYTE
    except (UnicodeError, LookupError):
        return False


def _decode(raw: bytes, name: str) -> str:
    try:
        text = _text(raw, name)
    except UnicodeDecodeError as error:
        raise BadText(f"invalid {name} at byte {error.start} of the record") from None
    except UnicodeError as error:
        raise BadText(f"invalid {name}: {brief(str(error))}") from None
    if "\0" in text:
        raise BadText(f"a NUL character at character {text.index(chr(0))} of the record")
    return text


def _text(raw: bytes, name: str, errors: str = "strict") -> str:
    return whatwg.decode(raw, name, errors) if whatwg.is_known(name) else raw.decode(name, errors)


UTF_8 = _encoding("utf-8")
