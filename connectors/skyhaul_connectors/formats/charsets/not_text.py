"""What bytes are that were taken for lines of text, for messages that name it and the way out."""

from __future__ import annotations

import codecs

_KINDS = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office file (xls, doc)"),
    (b"%PDF-", "a PDF"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1\x00\x00", "an Arrow file"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"CDF\x01", "a NetCDF file"),
    (b"CDF\x02", "a NetCDF file"),
    (b"Obj\x01", "an Avro file"),
)
"""First bytes of common formats (each format's own specification; registered with IANA or in file(1))."""

_COMPRESSED = ("gzip", "zstd", "bzip2", "xz", "lz4")
_SAMPLE = 256
"""Bytes that the places of zeros are counted in. Chosen, not measured."""

CR_ALONE = "lines that end in CR alone; convert them to LF"


def not_text(head: bytes, *, utf8_only: bool = False) -> str | None:
    """What an object that begins with `head` is, where it is no text in UTF-8; None where it may be.

    Args:
        head: Its first bytes, or its first line.
        utf8_only: Whether UTF-16 and UTF-32 are not read even with a byte order mark."""
    for magic, kind in _KINDS:
        # Three letters may begin a text; bzip2 has its level, a digit, behind them.
        if head.startswith(magic) and (magic != b"BZh" or head[3:4].isdigit()):
            if kind == "a ZIP archive" and b"[Content_Types].xml" in head:
                kind = "an Office file (xlsx, docx)"
            return f"{kind}, not text; {'unpack' if kind in _COMPRESSED else 'unpack or convert'} it"
    wide = wide_text(head)
    # UTF-32-LE's mark begins with UTF-16-LE's.
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE))
    way = "convert it" if utf8_only else "say which by `encoding`, or convert it"
    return f"{wide}, not UTF-8; {way}" if wide and (utf8_only or not marked) else None


def wide_text(raw: bytes) -> str | None:
    """UTF-16 or UTF-32, where `raw` looks like it: mostly ASCII, with bytes 0 between.

    `raw` may begin anywhere in the object."""
    sample = raw[:_SAMPLE]
    if raw.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "UTF-32"
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    zeros = sample.count(0)
    if len(sample) < 4 or not zeros:
        return None
    others = [byte for byte in sample if byte]
    if not others or sum(byte < 0x80 for byte in others) * 2 < len(others):
        return None
    # ASCII in UTF-32 has three zeros in four bytes, in UTF-16 one in two. Which place is not zero tells
    # nothing here: a line may begin within a character.
    places = [sum(byte == 0 for byte in sample[start::4]) * 4 >= len(sample) * 0.7 for start in range(4)]
    if sum(places) == 3:
        return "UTF-32"
    halves = [sum(byte == 0 for byte in sample[start::2]) * 2 >= len(sample) * 0.7 for start in range(2)]
    return "UTF-16" if sum(halves) == 1 else None


def line_hint(line: bytes, offset: int) -> str | None:
    """What is wrong with a refused line at `offset` of an object of lines in UTF-8, if anything is seen.

    Whether the whole object is something else is told of its first line alone, so that a bad line further on
    does not name an archive."""
    told = not_text(line, utf8_only=True) if offset == 0 else None
    if told is not None:
        return told
    if b"\0" in line:
        wide = wide_text(line)
        return f"{wide}, not UTF-8; convert it" if wide else None
    return CR_ALONE if b"\r" in line.rstrip(b"\r\n \t") else None
