"""The codecs behind `compression`: suffixes, magic numbers, and one member's decompressor each.

A member's decompressor (`compression._Member`) takes input and gives about `length` bytes at most. `left` is
how many bytes at the input's end it did not take: the caller hands them in again. `eof` says that the member
was whole and its checksum right. Whatever is wrong with the input is CorruptInput.

Formats: RFC 1952 (gzip), RFC 8878 (zstd), the xz and LZ4 frame specifications; bzip2 has none.
"""

from __future__ import annotations

import bz2
import lzma
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lz4.frame  # type: ignore[import-untyped]  # ships no types
from zlib_ng import zlib_ng

from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.bytes.zstd_frames import ZstdFrames


class CorruptInput(Exception):
    """The input cannot be decompressed; the message is the library's, on one line."""


class RefusedInput(CorruptInput):
    """Input that may be sound, and is not decompressed; the message says why."""


# zlib-ng inflates about twice as fast as zlib; its stubs are wrong about both of these.
_ZLIB_ERROR: type[Exception] = vars(zlib_ng)["error"]


def _inflater() -> Any:
    # 16 + 15: a gzip header and trailer with a window of up to 32 KiB, and no zlib stream in its place.
    return zlib_ng.decompressobj(wbits=31)


class GzipMember:
    """One gzip member.

    zlib gives nothing of a call that meets an error. So the state before each call is kept, and after an
    error the call is repeated byte by byte: everything before the damage comes out, and it does not depend on
    the pieces that the input came in.
    """

    def __init__(self) -> None:
        self._zlib = _inflater()
        self._fresh = True
        self.left = 0
        self._error: str | None = None

    @property
    def eof(self) -> bool:
        return bool(self._zlib.eof)

    def decompress(self, data: bytes, length: int) -> bytes:
        if self._error is not None:
            raise CorruptInput(self._error)
        # A copy of the state is a copy of its window; the first call of a member needs none, since a new
        # inflater is the same, and a small member ends in that call.
        before = None if self._fresh else self._zlib.copy()
        try:
            piece: bytes = self._zlib.decompress(data, length)
        except _ZLIB_ERROR as error:
            piece = _salvage(before or _inflater(), data, length)
            self._error = _line(error)
            if not piece:
                raise CorruptInput(self._error) from None
            # Nothing counts as taken: the caller hands all of it in again, and that call raises.
            self.left = len(data)
            return piece
        self._fresh = False
        # zlib keeps what it did not take in one of two places: behind the member's end, or beyond `length`.
        self.left = len(self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail)
        return piece


def _salvage(state: Any, data: bytes, length: int) -> bytes:
    out = []
    try:
        for index in range(len(data)):
            out.append(state.decompress(data[index : index + 1], length))
    except _ZLIB_ERROR:
        pass
    return b"".join(out)


class StandardMember:
    """One member under a decompressor that follows the standard library's interface (bz2, lzma, lz4)."""

    def __init__(self, inner: Any, errors: tuple[type[Exception], ...]) -> None:
        self._inner = inner
        self._errors = errors
        self.left = 0

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    def decompress(self, data: bytes, length: int) -> bytes:
        # Input that is not asked for would pile up inside.
        wanted = data if self._inner.needs_input else b""
        try:
            piece: bytes = self._inner.decompress(wanted, length)
        except self._errors as error:
            raise CorruptInput(_line(error)) from None
        unused = len(self._inner.unused_data or b"") if self._inner.eof else 0
        self.left = len(data) - len(wanted) + min(unused, len(wanted))
        return piece


@dataclass(frozen=True)
class Codec:
    """One compression format.

    Attributes:
        name: As `compression` of a job writes it.
        unit: What the format calls a member, for messages.
        suffixes: Of names, in lower case.
        opener: Takes a source's options and gives a factory of members for one object: members of one object
            may share state, as the dictionary of zstd frames.
        starts: What the first bytes of any member look like, skippable frames included.
        magic: What is strong enough to tell the codec of an object without a name.
        padding: Zero bytes between members come in multiples of so many."""

    name: str
    unit: str
    suffixes: tuple[str, ...]
    opener: Callable[[StreamOptions], Callable[[], Any]]
    starts: re.Pattern[bytes]
    magic: re.Pattern[bytes]
    padding: int = 1

    def may_begin(self, head: bytes) -> bool:
        return self.starts.match(head) is not None

    def magic_at(self, data: bytes) -> int:
        """Where the magic number is first found in `data`; -1 where it is not."""
        found = self.magic.search(data)
        return -1 if found is None else found.start()

    def skip_padding(self, data: bytes) -> bytes:
        """`data` without the zero bytes that it begins with, in multiples of `padding`."""
        zeros = len(data) - len(data.lstrip(b"\0"))
        return data[zeros - zeros % self.padding :]


def by_magic(head: bytes) -> str | None:
    """Name of the codec whose magic number `head`, an object's first bytes, begins with; None without one."""
    for name, codec in CODECS.items():
        if codec.magic.match(head):
            return name
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _xz() -> Any:
    # `xz -9` needs 65 MiB to decompress; a block may state a dictionary of up to 4 GiB (xz format, 5.3.1).
    return StandardMember(
        lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=256 * 1024**2), (lzma.LZMAError, MemoryError)
    )


def _bytes(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


CODECS = {
    codec.name: codec
    for codec in (
        Codec(
            "gzip",
            "member",
            (".gz", ".gzip", ".tgz", ".dz"),
            lambda options: GzipMember,
            # ID1 and ID2 (RFC 1952, 2.3.1). The magic has the one method that there is, too: two bytes are
            # too weak to tell a codec by.
            _bytes(rb"\x1f\x8b"),
            _bytes(rb"\x1f\x8b\x08"),
        ),
        Codec(
            "zstd",
            "frame",
            (".zst", ".zstd", ".tzst"),
            lambda options: ZstdFrames(CorruptInput, options.zstd_window, RefusedInput, "zstd_window").frame,
            # Or a skippable frame (RFC 8878, 3.1.2). It alone tells no codec: LZ4 has the same.
            _bytes(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
            _bytes(rb"\x28\xb5\x2f\xfd"),
        ),
        Codec(
            "bzip2",
            "stream",
            (".bz2", ".tbz2"),
            lambda options: lambda: StandardMember(bz2.BZ2Decompressor(), (OSError, ValueError)),
            _bytes(rb"BZh"),
            # A text may begin with `BZh`: behind the level must stand the mark of a block, or that of the end
            # of an empty stream.
            _bytes(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)"),
        ),
        Codec(
            "xz",
            "stream",
            (".xz", ".txz"),
            lambda options: _xz,
            _bytes(rb"\xfd7zXZ\x00"),
            _bytes(rb"\xfd7zXZ\x00"),
            # Stream padding is a multiple of four bytes (xz file format, 2.2); other zeros are garbage.
            padding=4,
        ),
        Codec(
            "lz4",
            "frame",
            (".lz4",),
            # The binding has no exception of its own.
            lambda options: (
                lambda: StandardMember(
                    lz4.frame.LZ4FrameDecompressor(), (RuntimeError, EOFError, MemoryError)
                )
            ),
            _bytes(rb"\x04\x22\x4d\x18|[\x50-\x5f]\x2a\x4d\x18"),
            _bytes(rb"\x04\x22\x4d\x18"),
        ),
    )
}
"""Codec by name, as `compression` of a source's `decode` writes it."""
