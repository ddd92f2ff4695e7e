"""Compressed files of the collection unpacked, by Python's modules and the bindings of the reference
libraries; by the name's suffix or their first bytes, as ours are."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import zstandard


class Corrupt(ValueError):
    """The stream is not what its suffix says, or breaks off."""


def unpacked(path: Path) -> bytes:
    """The file's bytes, unpacked where its suffix or they say how. Raises Corrupt."""
    raw = path.read_bytes()
    begins = next((suffix for magic, suffix in _MAGIC.items() if raw.startswith(magic)), "")
    unpack = _BY_SUFFIX.get(path.suffix) or _BY_SUFFIX.get(begins)
    if unpack is None:
        return raw
    try:
        return unpack(raw)
    except (OSError, EOFError, RuntimeError, lzma.LZMAError, zstandard.ZstdError, ValueError) as error:
        raise Corrupt(f"{path.name}: {error}") from error


def _zstd(raw: bytes) -> bytes:
    reader = zstandard.ZstdDecompressor(max_window_size=2**31)
    return reader.stream_reader(io.BytesIO(raw), read_across_frames=True).read()


def _xz(raw: bytes) -> bytes:
    """All streams, with the padding between and behind them: zeros, in fours
    (https://tukaani.org/xz/xz-file-format.txt, section 2.2); Python's `lzma.decompress` knows none."""
    out = []
    while raw:
        stream = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        out.append(stream.decompress(raw))
        if not stream.eof:
            raise EOFError("the stream does not end")
        raw = stream.unused_data.lstrip(b"\0")
        if (len(stream.unused_data) - len(raw)) % 4:
            raise ValueError("padding that is no multiple of four bytes")
    return b"".join(out)


def _lz4(raw: bytes) -> bytes:
    with lz4.frame.open(io.BytesIO(raw)) as frames:
        return bytes(frames.read())


_BY_SUFFIX: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".tgz": gzip.decompress,
    ".dz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": _xz,
    ".lz4": _lz4,
    ".zst": _zstd,
}

_MAGIC = {
    b"\x1f\x8b": ".gz",
    b"BZh": ".bz2",
    b"\xfd7zXZ\0": ".xz",
    b"\x04\x22\x4d\x18": ".lz4",
    b"\x28\xb5\x2f\xfd": ".zst",
}
