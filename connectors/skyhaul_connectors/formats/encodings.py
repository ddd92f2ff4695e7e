"""Text encodings: declared, told by a byte order mark, or detected."""

from __future__ import annotations

import codecs
import sys
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from skyhaul_connectors.formats.printable import printable
from skyhaul_schemas.errors import UsageError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DOUBLE_BYTE = {
    *("big5", "big5hkscs", "cp932", "cp949", "cp950", "euc_jp", "euc_jis_2004", "euc_jisx0213", "euc_kr"),
    *("gb18030", "gb2312", "gbk", "johab", "shift_jis", "shift_jis_2004", "shift_jisx0213", "utf-8"),
}
_BLANKS = b"\t\n\x0b\x0c\r "


class BadText(ValueError):
    """Bytes that the encoding does not allow; the message says which and where."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """A text encoding by Python's name for it. `cuttable`: the bytes of ASCII white space stand for
    nothing else in it, so that lines may be found in the bytes. `stateless`: encoding a piece of decoded text
    gives its bytes back, so that offsets can be counted."""

    name: str
    cuttable: bool
    stateless: bool

    def decode(self, raw: bytes) -> str:
        """Text of `raw`, without a byte order mark at its start. Raises BadText."""
        for mark, name in _MARKS:
            if raw.startswith(mark) and (name == self.name or self.name in ("utf-16", "utf-32")):
                return _decode(raw[len(mark) :], name)
        return _decode(raw, self.name)

    def text(self, raw: bytes) -> str | bytes:
        """As `decode`, but text that is UTF-8 already stays bytes, for Arrow to take as they are."""
        if self.name != "utf-8":
            return self.decode(raw)
        if not is_utf8(raw) or b"\0" in raw:
            return self.decode(raw)  # raises, and says where
        return raw.removeprefix(codecs.BOM_UTF8)

    def plain(self, raw: bytes) -> str:
        """The name under which text encodes without a byte order mark, as `raw` has it."""
        if self.name not in ("utf-16", "utf-32"):
            return self.name
        for mark, name in _MARKS:
            if raw.startswith(mark) and name.startswith(self.name):
                return name
        return self.name + ("-le" if sys.byteorder == "little" else "-be")


def is_utf8(raw: bytes) -> bool:
    """Whether `raw` is valid UTF-8; Arrow's check is several times faster than decoding."""
    if raw.isascii():
        return True
    offsets = pa.py_buffer(np.array([0, len(raw)], np.int64))
    try:
        pa.Array.from_buffers(pa.large_utf8(), 1, [None, offsets, pa.py_buffer(raw)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def encoding_named(name: str) -> Encoding:
    """Raises UsageError where Python knows no such text encoding."""
    try:
        info = codecs.lookup(name)
        known = info._is_text_encoding
    except (LookupError, ValueError):
        known = False
    if not known:
        raise UsageError(
            f"decode option 'encoding': {printable(name)!r} is no text encoding (utf-8, latin-1, …)"
        )
    return _encoding(info.name)


def encoding_of(head: bytes) -> Encoding:
    """What the byte order mark at the start of an object says; UTF-8 without one."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return _encoding(name)
    return UTF_8


def detect(raw: bytes) -> Encoding | None:
    """What charset-normalizer takes `raw` for; None where it finds nothing that fits."""
    from charset_normalizer import from_bytes

    best = from_bytes(raw).best()
    return None if best is None else _encoding(codecs.lookup(best.encoding).name)


def _encoding(name: str) -> Encoding:
    # Python's name for UTF-8 with a mark; UTF-8 takes it with and without, and can be counted.
    name = "utf-8" if name == "utf-8-sig" else name
    single = _is_single_byte(name)
    blank = name in _DOUBLE_BYTE or (single and _BLANKS.decode(name) == _BLANKS.decode("ascii"))
    counted = single or name in _DOUBLE_BYTE or name.startswith(("utf-16", "utf-32"))
    return Encoding(name, blank, counted)


def _is_single_byte(name: str) -> bool:
    if name.startswith(("utf", "iso2022", "hz", "unicode_escape", "raw_unicode", "idna", "punycode")):
        return False
    try:
        return len(bytes(range(128, 256)).decode(name, "replace")) == 128 and name not in _DOUBLE_BYTE
    except (UnicodeError, LookupError):
        return False


def _decode(raw: bytes, name: str) -> str:
    try:
        text = raw.decode(name)
    except UnicodeDecodeError as error:
        raise BadText(f"invalid {name} at byte {error.start} of the record") from None
    except UnicodeError as error:
        raise BadText(f"invalid {name}: {printable(str(error))}") from None
    if "\0" in text:
        raise BadText(f"a NUL character at character {text.index(chr(0))} of the record")
    return text


UTF_8 = _encoding("utf-8")
