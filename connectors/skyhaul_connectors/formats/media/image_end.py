"""Whether an image file was cut off, by its structure: nothing is decoded.

An image is truncated where a part of it is stated beyond the end of the bytes, or where the mark that ends
its format (EOI, IEND, the GIF trailer) is not reached. What lies behind the end is not looked at: zeros,
garbage, a second picture or the film of a motion photo take nothing from the image. A picture that lacks
bytes in its middle, or whose pixels are corrupt, is not told here: that takes a decoder.

JPEG 2000 codestreams are held against their tile-parts and EOC, QOI against its end mark; a TGA file whose
end mark is gone is none that is known. Without an end mark the sizes speak: WebP by its RIFF header, TIFF by
its strips and tiles, BMP by the pixels that its header states, AVIF, HEIC and JPEG 2000 by their boxes. Other
formats say nothing.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from skyhaul_connectors.formats.media.image_parts import (
    EOI,
    J2C_EOC,
    SOS,
    Entry,
    Tiff,
    boxes,
    codestream_parts,
    jpeg_segments,
    png_chunks,
    riff_chunks,
)

_QOI_HEAD, _QOI_END = 14, b"\0\0\0\0\0\0\0\1"
# It has no data, so that its checksum is always the same.
_IEND = b"IEND\xaeB`\x82"
# What begins a block: an extension, an image, the trailer.
_GIF_BLOCK = re.compile(rb"[!,;]")
_PICTURES = (b"mdat", b"jp2c", b"idat")
_BOXES = (*_PICTURES, b"meta", b"moov", b"moof", b"jp2h", b"free", b"skip", b"uuid", b"xml ")
"""Boxes of the outermost level, as far as they are common; of other names, padding may be made."""
# Offsets and byte counts of the pixels (TIFF 6.0, sections 3 and 15).
_STRIPS, _TILES = (273, 279), (324, 325)
_OF_PICTURES = frozenset((*_STRIPS, *_TILES))


def is_truncated(raw: bytes, media_type: str) -> bool:
    """Whether an image of the type `media_type` ends before its structure does. Never raises."""
    look = _LOOKS.get(media_type)
    if look is None:
        return False
    try:
        return look(raw)
    except (struct.error, IndexError):
        return True  # it ends inside of a field


def _jpeg(raw: bytes) -> bool:
    scans = 0
    for kind, _, stop in jpeg_segments(raw):
        if kind[0] == EOI:
            return not scans
        if stop > len(raw):
            return True
        scans += kind[0] == SOS
    # No end mark; or another SOI before it: the first picture was cut off, and the next one follows.
    return True


def _png(raw: bytes) -> bool:
    for kind, _, stop in png_chunks(raw):
        if stop > len(raw):
            break
        if kind == b"IEND":
            return False
    # A chunk that lies about its length is corrupt; where the end mark ends the bytes, nothing was cut off.
    return not raw.rstrip(b"\0").endswith(_IEND)


def _j2c(raw: bytes) -> bool:
    for kind, _, stop in codestream_parts(raw):
        if stop > len(raw):
            return True
        if kind == J2C_EOC:
            return False
    # As of PNG: a part that lies about its length is corrupt.
    return not raw.rstrip(b"\0").endswith(J2C_EOC)


def _qoi(raw: bytes) -> bool:
    # Seven times index 0, then a 1: an encoder must not write the same index twice in a row, so that no
    # pixels look like that.
    return raw.find(_QOI_END, _QOI_HEAD) < 0


def _gif(raw: bytes) -> bool:
    # Header and screen descriptor are 13 bytes. Behind an image's descriptor (9) and colour table one byte
    # says the code size, behind an extension's `!` one its label; then sub-blocks come, each led by its
    # length, up to one of 0. What lies between blocks is searched over.
    at = 13 + _color_table(raw[10])
    while (found := _GIF_BLOCK.search(raw, at)) is not None:
        at = found.end()
        if found[0] == b";":
            return False
        if found[0] == b",":
            at += 9 + _color_table(raw[at + 8]) + 1
        else:
            at += 1
        while length := raw[at]:
            at += length + 1
        at += 1
    return True


def _color_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(raw: bytes) -> bool:
    pictures = 0
    stop = 12
    for kind, _, stop in riff_chunks(raw):
        if stop > len(raw):
            return True
        pictures += kind in (b"VP8 ", b"VP8L", b"ANMF")
    # The padding of a last chunk of odd length is left out by some.
    stated = 8 + int.from_bytes(raw[4:8], "little")
    return not pictures or stated > len(raw) + (stop & 1)


def _bmp(raw: bytes) -> bool:
    offset, head = struct.unpack_from("<II", raw, 10)
    if head == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", raw, 18)
        packing, stated = 0, 0
    else:
        width, height, _, bits, packing, stated = struct.unpack_from("<iiHHII", raw, 18)
    # Uncompressed (BI_RGB, BI_BITFIELDS, BI_ALPHABITFIELDS): the header may leave the bytes of the pixels at
    # 0. Rows are padded to four bytes.
    if packing in (0, 3, 6):
        row = (abs(width) * bits + 31) // 32 * 4
        # The last row may lack its padding.
        stated = row * (abs(height) - 1) + (abs(width) * bits + 7) // 8 if height else 0
    return bool(offset + stated > len(raw))


def _tiff(raw: bytes) -> bool:
    file = Tiff(raw)
    # Directories may all name the same list: together they may name no more parts than the file has bytes,
    # which bounds the time that a hostile one takes.
    budget = len(raw)
    pictures = 0
    for entries in file.directories(_OF_PICTURES):
        fields = {entry.tag: entry for entry in entries}
        for offsets, counts in (_STRIPS, _TILES):
            if offsets in fields:
                pictures += 1
                budget -= fields[offsets].count
                if budget < 0 or _beyond(file, fields[offsets], fields.get(counts)):
                    return True
    return file.cut or not pictures


def _beyond(file: Tiff, offsets: Entry, counts: Entry | None) -> bool:
    # Without lengths that match, the parts' beginnings have to do.
    starts = file.values(offsets, offsets.count)
    if starts is None:
        return not file.reaches(offsets)
    lengths = None if counts is None else file.values(counts, counts.count)
    if lengths is None or len(lengths) != len(starts):
        return max(starts, default=0) > len(file.raw)
    return any(start + length > len(file.raw) for start, length in zip(starts, lengths, strict=True))


def _boxed(raw: bytes) -> bool:
    """Look at AVIF, HEIC or JPEG 2000, which have the picture in a box of its own."""
    pictures = 0
    for kind, _, stop in boxes(raw):
        if stop > len(raw) and kind in _BOXES:
            return True
        pictures += kind in _PICTURES
    return not pictures


_LOOKS: dict[str, Callable[[bytes], bool]] = {
    "image/png": _png,
    "image/gif": _gif,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "image/j2c": _j2c,
    "image/qoi": _qoi,
    "image/jp2": _boxed,
    "image/avif": _boxed,
    "image/heic": _boxed,
}
