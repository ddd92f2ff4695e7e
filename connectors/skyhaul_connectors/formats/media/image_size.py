"""Width and height of an image from its header alone; nothing is decoded.

Formats: PNG (W3C), JPEG (ITU T.81), GIF89a, WebP (RFC 9649), BMP, TIFF 6.0 and BigTIFF, JPEG 2000 and its
codestreams (ISO/IEC 15444-1, SIZ), ICO, PSD, AVIF and HEIC (ISO 23008-12, `ispe`), DDS (DDS_HEADER), QOI, and
TGA.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

_JPEG_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xD9)})
"""Behind these (a stuffed zero, TEM, restarts, SOI) stands no length (ITU T.81, B.1.1.3)."""
_JPEG_LAST = frozenset({0xD9, 0xDA})
"""EOI and SOS: a frame that follows is another picture's."""
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Searched for instead of walked to: they lie near the beginning, in boxes inside of boxes.
_ISPE = re.compile(rb"ispe\x00\x00\x00\x00(.{8})", re.DOTALL)
_IHDR = re.compile(rb"ihdr(.{8})", re.DOTALL)
_SIZ = re.compile(rb"\xff\x4f\xff\x51..(..)(.{16})", re.DOTALL)


def size_of(raw: bytes, media_type: str) -> tuple[int, int] | None:
    """(width, height) in pixels, or None where the header does not say. Never raises."""
    sniff = _SNIFFERS.get(media_type)
    if sniff is None:
        return None
    try:
        found = sniff(raw)
    except (struct.error, IndexError):
        return None
    return found if found is not None and found[0] > 0 and found[1] > 0 else None


def _png(raw: bytes) -> tuple[int, int] | None:
    return struct.unpack_from(">II", raw, 16) if raw[12:16] == b"IHDR" else None


def _gif(raw: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", raw, 6)


def _jpeg(raw: bytes) -> tuple[int, int] | None:
    at = 2
    while True:
        at = raw.find(b"\xff", at)
        if at < 0:
            return None
        marker = raw[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_FRAMES:
            # Behind marker, length and precision.
            height, width = struct.unpack_from(">HH", raw, at + 5)
            return width, height
        elif marker in _JPEG_LAST:
            return None
        elif marker in _JPEG_ALONE:
            at += 2
        else:
            at += 2 + max(2, struct.unpack_from(">H", raw, at + 2)[0])


def _webp(raw: bytes) -> tuple[int, int] | None:
    # RFC 9649, sections 2.5 to 2.7: a lossy frame's sizes have 14 bits below two of scaling (RFC 6386,
    # section 9.1); the others are stored less one.
    kind = raw[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", raw, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", raw, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(raw[24:27], "little") + 1, int.from_bytes(raw[27:30], "little") + 1
    return None


def _bmp(raw: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", raw, 14)[0] == 12:
        return struct.unpack_from("<HH", raw, 18)
    # A negative height says that the rows come from the top.
    width, height = struct.unpack_from("<ii", raw, 18)
    return abs(width), abs(height)


def _tiff(raw: bytes) -> tuple[int, int] | None:
    order = "<" if raw[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", raw, 2)[0] == 43
    at = struct.unpack_from(order + ("Q" if big else "I"), raw, 8 if big else 4)[0]
    count = struct.unpack_from(order + ("Q" if big else "H"), raw, at)[0]
    entry, value = (20, 12) if big else (12, 8)
    at += 8 if big else 2
    found: dict[int, int] = {}
    # Tags of size are among the lowest, and entries are sorted by tag: more need not be looked at.
    for number in range(min(count, 4096)):
        place = at + number * entry
        tag, kind = struct.unpack_from(order + "HH", raw, place)
        code = {3: "H", 4: "I", 16: "Q"}.get(kind)
        if tag in (256, 257) and code is not None:
            found[tag] = struct.unpack_from(order + code, raw, place + value)[0]
    return (found[256], found[257]) if len(found) == 2 else None


def _jp2(raw: bytes) -> tuple[int, int] | None:
    header = _IHDR.search(raw, 0, 4096)
    if header is not None:
        height, width = struct.unpack(">II", header[1])
        return width, height
    code = _SIZ.search(raw, 0, 4096)
    if code is None:
        return None
    right, bottom, left, top = struct.unpack(">IIII", code[2])
    return right - left, bottom - top


def _j2c(raw: bytes) -> tuple[int, int]:
    # SIZ states a reference grid, and how far from its origin the image begins.
    right, bottom, left, top = struct.unpack_from(">IIII", raw, 8)
    return right - left, bottom - top


def _dds(raw: bytes) -> tuple[int, int]:
    height, width = struct.unpack_from("<II", raw, 12)
    return width, height


def _qoi(raw: bytes) -> tuple[int, int]:
    return struct.unpack_from(">II", raw, 4)


def _tga(raw: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", raw, 12)


def _ico(raw: bytes) -> tuple[int, int]:
    # The first picture's; 256 does not fit into its byte and is written as 0.
    return raw[6] or 256, raw[7] or 256


def _psd(raw: bytes) -> tuple[int, int]:
    height, width = struct.unpack_from(">II", raw, 14)
    return width, height


def _heif(raw: bytes) -> tuple[int, int] | None:
    """The largest of the stated extents: thumbnails and tiles have their own."""
    sizes: list[tuple[int, int]] = [struct.unpack(">II", found[1]) for found in _ISPE.finditer(raw, 0, 65536)]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


_SNIFFERS: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "image/png": _png,
    "image/gif": _gif,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/bmp": _bmp,
    "image/tiff": _tiff,
    "image/jp2": _jp2,
    "image/j2c": _j2c,
    "image/vnd.ms-dds": _dds,
    "image/qoi": _qoi,
    "image/x-tga": _tga,
    "image/x-icon": _ico,
    "image/vnd.adobe.photoshop": _psd,
    "image/avif": _heif,
    "image/heic": _heif,
}
