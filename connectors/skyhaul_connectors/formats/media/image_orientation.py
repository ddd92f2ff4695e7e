"""How an image is to be turned before it is shown: the EXIF field `Orientation` (CIPA DC-008, 4.6.5.1.6).

1 to 8: the top row and left column of the stored pixels are (1) top and left, (2) top and right, (3) bottom
and right, (4) bottom and left, (5) left and top, (6) right and top, (7) right and bottom, (8) left and
bottom of the picture. It is where JPEG (APP1), PNG (eXIf), WebP (EXIF) and TIFF keep it; that of HEIC and
AVIF is a property of the container (`irot`, `imir`), which is not read.
"""

from __future__ import annotations

import struct

from skyhaul_connectors.formats.media.image_parts import (
    APP1,
    SOS,
    Part,
    Tiff,
    jpeg_segments,
    png_chunks,
    riff_chunks,
)

_ORIENTATION = 274
_WANTED = frozenset({_ORIENTATION})
_EXIF = b"Exif\0\0"
_BYTE_ORDERS = (b"II*\0", b"MM\0*")


def orientation_of(raw: bytes, media_type: str) -> int | None:
    """1 to 8; None where the image says nothing, or nothing that can be read. Never raises."""
    try:
        data = raw if media_type == "image/tiff" else _exif(raw, media_type)
        return None if data is None else _orientation(data)
    except (struct.error, IndexError):
        return None


def _exif(raw: bytes, media_type: str) -> bytes | None:
    """The EXIF data of the image, from its byte order on."""
    if media_type == "image/jpeg":
        for part in jpeg_segments(raw):
            # EXIF data come before the first scan; what lies behind may be another picture's.
            if part.kind[0] == SOS:
                return None
            if part.kind[0] == APP1 and raw.startswith(_EXIF, part.start):
                return _cut(raw, part)
    elif media_type == "image/png":
        for part in png_chunks(raw):
            if part.kind == b"eXIf":
                # Without the checksum, which `png_chunks` counts in.
                return _cut(raw, part._replace(stop=part.stop - 4))
    elif media_type == "image/webp":
        for part in riff_chunks(raw):
            if part.kind == b"EXIF":
                return _cut(raw, part)
    return None


def _cut(raw: bytes, part: Part) -> bytes | None:
    data = raw[part.start : part.stop].removeprefix(_EXIF)
    return data if data.startswith(_BYTE_ORDERS) else None


def _orientation(data: bytes) -> int | None:
    file = Tiff(data)
    # The first directory alone: the second is the thumbnail's.
    for entry in next(file.directories(_WANTED), []):
        if entry.count == 1:
            found = file.values(entry, 1)
            return found[0] if found and 1 <= found[0] <= 8 else None
    return None
