"""The media type of an object, told from its first bytes, and from its name where those say nothing.

The common types are one regular expression; valid UTF-8 without control characters is text, of the kind that
the suffix says; of the rare rest some have signatures here, and puremagic is asked for the others. The
system's own tables (/etc/mime.types) are left alone: they differ between machines, and the type reaches a
shard.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version

import puremagic

MEDIA_TYPE_VERSION = "2"
"""Raised whenever equal bytes are told to be of another type; part of the encoder fingerprint of blobs."""

HEAD = 16 * 1024
"""Bytes of an object that are looked at; of a blob they are hauled with each chunk. Chosen, not measured."""

# Of several that match the first counts, so that the longer ones stand before those that they begin with
# (GRIB2, WebM). BMP's magic alone, two letters, begins many texts: its reserved bytes are part of it here.
_SIGNATURES = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBP",
    "image/tiff": rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+",
    "image/bmp": rb"BM....\x00\x00\x00\x00",
    "image/avif": rb"....ftypavi[fs]",
    "image/heic": rb"....ftyp(?:heic|heix|mif1)",
    "image/jp2": rb"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "image/jxl": rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n",
    "image/vnd.adobe.photoshop": rb"8BPS\x00[\x01\x02]",
    "image/x-icon": rb"\x00\x00\x01\x00[^\x00]\x00",
    "application/gzip": rb"\x1f\x8b\x08",
    "application/zstd": rb"\x28\xb5\x2f\xfd",
    "application/x-bzip2": rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)",
    "application/x-xz": rb"\xfd7zXZ\x00",
    "application/x-lz4": rb"\x04\x22\x4d\x18",
    "application/x-7z-compressed": rb"7z\xbc\xaf\x27\x1c",
    "application/vnd.rar": rb"Rar!\x1a\x07[\x00\x01]",
    "application/zip": rb"PK(?:\x03\x04|\x05\x06|\x07\x08)",
    "application/pdf": rb"%PDF-",
    "application/vnd.apache.parquet": rb"PAR1|PARE",
    "application/vnd.apache.arrow.file": rb"ARROW1\x00\x00",
    "application/vnd.apache.avro": rb"Obj\x01",
    "application/x-hdf5": rb"\x89HDF\r\n\x1a\n",
    "application/netcdf": rb"CDF[\x01\x02\x05]",
    "application/wmo-GRIB2": rb"GRIB...\x02",
    "application/wmo-grib": rb"GRIB",
    "application/vnd.sqlite3": rb"SQLite format 3\x00",
    "application/wasm": rb"\x00asm",
    "application/x-elf": rb"\x7fELF",
    "application/warc": rb"WARC/[01]\.",
    "application/x-tar": rb".{257}ustar",
    "audio/flac": rb"fLaC",
    "audio/mpeg": rb"ID3|\xff[\xfb\xf3\xf2]",
    "audio/ogg": rb"OggS",
    "audio/wav": rb"RIFF....WAVE",
    "video/mp4": rb"....ftyp(?:isom|iso[2-9]|mp4[12]|avc1|M4V )",
    "video/quicktime": rb"....ftypqt  ",
    "video/webm": rb"\x1a\x45\xdf\xa3.{0,40}webm",
    "video/x-matroska": rb"\x1a\x45\xdf\xa3",
    "font/woff2": rb"wOF2",
    "font/woff": rb"wOFF",
}
_RARE = {
    # Registered by ISO/IEC JTC 1/SC 29/WG 1; ISO/IEC 15444-1, Annex A.
    "image/j2c": rb"\xff\x4f\xff\x51",
    # Not registered, as Apache's mime.types has it; the magic number and the header's size, 124.
    "image/vnd.ms-dds": rb"DDS \x7c\x00\x00\x00",
    # As the format's author recommends (https://qoiformat.org): magic number, 3 or 4 channels, colour space.
    "image/qoi": rb"qoif.{8}[\x03\x04][\x00\x01]",
    # As libmagic names Autodesk's animations; magic number and flags.
    "video/x-fli": rb".{4}\x11\xaf.{8}[\x00\x03]\x00",
    "video/x-flc": rb".{4}\x12\xaf.{8}[\x00\x03]\x00",
}
_TGA_END = b"TRUEVISION-XFILE.\x00"


def _any_of(signatures: Mapping[str, bytes]) -> re.Pattern[bytes]:
    return re.compile(b"|".join(b"(" + s + b")" for s in signatures.values()), re.DOTALL)


_TYPES = list(_SIGNATURES)
_SIGNATURE = _any_of(_SIGNATURES)
_RARE_TYPES = list(_RARE)
_RARE_SIGNATURE = _any_of(_RARE)
# By suffix, as registered with IANA or in use.
_TEXTS = {
    "css": "text/css",
    "csv": "text/csv",
    "geojson": "application/geo+json",
    "htm": "text/html",
    "html": "text/html",
    "js": "text/javascript",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "md": "text/markdown",
    "ndjson": "application/jsonl",
    "py": "text/x-python",
    "rtf": "text/rtf",
    "svg": "image/svg+xml",
    "tsv": "text/tab-separated-values",
    "xml": "application/xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}
# The binary data bytes of the MIME Sniffing Standard.
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def media_type(head: bytes, path: str) -> str | None:
    """The media type of the object at `path` whose first bytes are `head`; None where nothing tells it."""
    found = signature_of(head)
    if found is not None:
        return found
    if not head:
        return None
    # Before the rare types, whose signatures may be words (`qoif`, `DDS |`).
    if _is_text(head):
        suffix = path.rpartition("/")[2].rpartition(".")[2].lower()
        return _TEXTS.get(suffix, "text/plain")
    return _rare(head)


def media_type_of_whole(raw: bytes, path: str) -> str | None:
    """The media type of an object that is here in whole, as `media_type` tells it.

    A Truevision TGA file has no signature, but from version 2.0 on an end mark.
    """
    found = media_type(raw[:HEAD], path)
    return "image/x-tga" if found is None and raw.endswith(_TGA_END) else found


def fingerprint() -> Mapping[str, str]:
    """Versions of what tells the type of a blob."""
    return {"puremagic": version("puremagic"), "skyhaul.media_type": MEDIA_TYPE_VERSION}


def signature_of(head: bytes) -> str | None:
    """The common type whose signature `head` begins with, or None."""
    found = _SIGNATURE.match(head)
    return _TYPES[found.lastindex - 1] if found and found.lastindex else None


def _is_text(head: bytes) -> bool:
    if _CONTROLS.search(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # A character may be cut by the end of the head.
        return len(head) >= HEAD and error.start >= len(head) - 3
    return True


def _rare(head: bytes) -> str | None:
    found = _RARE_SIGNATURE.match(head)
    if found is not None and found.lastindex:
        return _RARE_TYPES[found.lastindex - 1]
    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return None
    for match in matches:
        # Short signatures, and those of an object's end, say too little.
        if match.offset >= 0 and len(match.byte_match) >= 4 and match.mime_type:
            return str(match.mime_type)
    return None
