"""zstd frames, fed block by block (RFC 8878).

libzstd's streaming interfaces say nothing of a frame that is cut off, and a few bytes may stand for much
output. The frame's own structure gives both bounds: a block yields at most 128 KiB, and the frame ends with
the block that says so, and its checksum where the header announces one (libzstd compares it).

A skippable frame is passed over; the one that carries a dictionary for a `.warc.zst`
(iipc.github.io/warc-specifications/specifications/warc-zstd) is used for the frames after it.

Decompressing holds a frame's window in memory, and about 256 KiB; libzstd takes no more than the frame states
for its content, and the system gives pages as they are written. So the cap on the window is the cap on
memory. A frame of a single segment has no window of its own: its content is it.
"""

from __future__ import annotations

from typing import Any

import zstandard

_DICTIONARY_FRAME = 0x184D2A5D
"""Magic number of the skippable frame that the warc-zstd specification gives to a dictionary."""

_DICTIONARY_LIMIT = 16 * 1024 * 1024
"""Bytes of a dictionary, decompressed. Chosen, not measured: a longer first frame is passed over unread."""

WINDOW = 128 * 1024 * 1024
"""Bytes that a frame's window may have, by default; it is what `zstd` itself opens without `--long`."""

MAX_WINDOW = 2 * 1024**3
"""The most that libzstd opens (ZSTD_WINDOWLOG_MAX, 31, where pointers have 64 bits)."""

_LEAST_WINDOW = 1024
"""The least cap that libzstd takes (ZSTD_WINDOWLOG_ABSOLUTEMIN, 10); a smaller one is an error of its own."""

_RAW, _RLE, _COMPRESSED = 0, 1, 2
"""Types of blocks (RFC 8878, 3.1.1.2.2); the fourth is reserved."""

_BLOCK_LIMIT = 128 * 1024
"""Bytes of a block at most, compressed as decompressed (RFC 8878, 3.1.1.2.4)."""


class ZstdFrames:
    """The frames of one object, of which one is open at a time.

    Args:
        corrupt: The exception that says what is wrong with the input; handed in, since `codecs`, which has
            it, imports this module.
        max_window: Bytes that a frame may ask for, MAX_WINDOW at most.
        refused: The exception for a frame that may be sound and is not opened; `corrupt` without it.
        option: The name of the option that sets `max_window`, to be told with it."""

    def __init__(
        self,
        corrupt: type[Exception],
        max_window: int = WINDOW,
        refused: type[Exception] | None = None,
        option: str | None = None,
    ) -> None:
        self.corrupt = corrupt
        self.refused = refused or corrupt
        self._option = option
        self.has_dictionary = False
        self._max_window = max_window
        self._context = zstandard.ZstdDecompressor(max_window_size=max(max_window, _LEAST_WINDOW))
        # A dictionary counts in the object's first frame only (warc-zstd).
        self._first = True

    def frame(self) -> ZstdFrame:
        """The next frame of the object, to be fed with its bytes."""
        first, self._first = self._first, False
        return ZstdFrame(self, first)

    def start(self, window: int, dictionary: int) -> Any:
        """A decompressor of one frame.

        Args:
            window: Bytes that the frame asks for.
            dictionary: The number of the dictionary that it was made with, 0 for none."""
        self.check_window(window)
        if dictionary and not self.has_dictionary:
            raise self.refused(f"it needs the dictionary {dictionary}, which the object does not hold")
        return self._context.decompressobj()

    def check_window(self, window: int) -> None:
        """Raises `refused` where a frame may not ask for a window of so many bytes."""
        if window > self._max_window:
            raise self.refused(self._too_large(window))

    def _too_large(self, window: int) -> str:
        named = f"{self._option} of " if self._option else ""
        stated = f"a window of {window} bytes, more than {named}{self._max_window}"
        if self._option is None:
            return stated
        if window > MAX_WINDOW:
            return f"{stated}; more than {MAX_WINDOW} cannot be opened"
        mebibytes = -(-window // 1024**2)
        size = f"{mebibytes}MiB" if mebibytes % 1024 else f"{mebibytes // 1024}GiB"
        return f"{stated}; say `decode: {{{self._option}: {size}}}` to open it"

    def use_dictionary(self, payload: bytes) -> None:
        """Makes `payload` of a dictionary frame the dictionary of the frames after it."""
        try:
            # The specification lets the dictionary be compressed, with zstd, itself.
            if payload[:4] == zstandard.FRAME_HEADER:
                payload = zstandard.ZstdDecompressor().decompress(payload, max_output_size=_DICTIONARY_LIMIT)
            self._context = zstandard.ZstdDecompressor(
                dict_data=zstandard.ZstdCompressionDict(payload),
                max_window_size=max(self._max_window, _LEAST_WINDOW),
            )
            self.has_dictionary = True
        except (zstandard.ZstdError, MemoryError) as error:
            raise self.corrupt(f"dictionary: {error}") from None


class ZstdFrame:
    """One frame as a member's decompressor (see `codecs`)."""

    def __init__(self, frames: ZstdFrames, first: bool) -> None:
        self._frames = frames
        self._first = first
        self._object: Any = None
        self._checksum = False
        self._skip = -1
        self._payload: list[bytes] | None = None
        self._last = False
        self.eof = False
        self.left = 0

    def decompress(self, data: bytes, length: int) -> bytes:
        """The output of the whole blocks in `data`; what is left of a block waits for more input.

        About `length` bytes: a block more at most, 128 KiB."""
        at = 0
        if self._object is None and self._skip < 0:
            at = self._begin(data)
        out: list[bytes] = []
        size = 0
        while not self.eof and size < length:
            taken, piece = self._skipped(data, at) if self._skip >= 0 else self._block(data, at)
            at += taken
            size += len(piece)
            if piece:
                out.append(piece)
            # A block is cut off by the end of `data`.
            if not taken and not self.eof:
                break
        self.left = len(data) - at
        return b"".join(out)

    def _begin(self, data: bytes) -> int:
        magic = int.from_bytes(data[:4], "little")
        if magic >> 4 == 0x184D2A5:
            if len(data) < 8:
                return 0
            self._skip = int.from_bytes(data[4:8], "little")
            if self._first and magic == _DICTIONARY_FRAME and self._skip <= _DICTIONARY_LIMIT:
                self._payload = []
            return 8
        try:
            header = zstandard.get_frame_parameters(data)
            size = zstandard.frame_header_size(data)
        except zstandard.ZstdError as error:
            # Magic number and frame header have 18 bytes at most (RFC 8878, 3.1.1.1): the error may be that
            # some are still missing.
            if len(data) < 18:
                return 0
            self._frames.check_window(_stated_window(data))  # one that libzstd takes for no window at all
            raise self._corrupt(error) from None
        if len(data) < size:
            return 0
        self._checksum = header.has_checksum
        self._object = self._frames.start(header.window_size, header.dict_id)
        self._feed(data[:size])
        return size

    def _block(self, data: bytes, at: int) -> tuple[int, bytes]:
        if self._object is None:
            return 0, b""
        if self._last:
            if len(data) - at < 4:
                return 0, b""
            return 4, self._end(data[at : at + 4])
        if len(data) - at < 3:
            return 0, b""
        header = int.from_bytes(data[at : at + 3], "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        if kind > _COMPRESSED or size > _BLOCK_LIMIT:
            raise self._frames.corrupt(f"block of type {kind} and {size} bytes")
        # The size of an RLE block is how often its one byte is repeated (RFC 8878, 3.1.1.2.2).
        stop = at + 3 + (1 if kind == _RLE else size)
        if len(data) < stop:
            return 0, b""
        piece = self._feed(data[at:stop])
        if last:
            self._last = True
            if not self._checksum:
                piece += self._end(b"")
        return stop - at, piece

    def _end(self, checksum: bytes) -> bytes:
        piece = self._feed(checksum) if checksum else b""
        # libzstd must see the frame's end where its blocks say so, or one of the two is not understood here.
        if not self._object.eof:
            raise self._frames.corrupt("the frame does not end where its last block does")
        self.eof = True
        return piece

    def _skipped(self, data: bytes, at: int) -> tuple[int, bytes]:
        taken = min(self._skip, len(data) - at)
        if self._payload is not None:
            self._payload.append(data[at : at + taken])
        self._skip -= taken
        if not self._skip:
            self.eof = True
            if self._payload is not None:
                self._frames.use_dictionary(b"".join(self._payload))
        return taken, b""

    def _feed(self, data: bytes) -> bytes:
        try:
            piece: bytes = self._object.decompress(data)
        except (zstandard.ZstdError, MemoryError) as error:
            raise self._corrupt(error) from None
        return piece

    def _corrupt(self, error: Exception) -> Exception:
        return self._frames.corrupt(str(error).removeprefix("zstd decompressor error: "))


def _stated_window(data: bytes) -> int:
    """What the window descriptor of a frame's header states (RFC 8878, 3.1.1.1.2); 0 where it has none."""
    if data[4] & 0x20:
        return 0
    exponent, mantissa = data[5] >> 3, data[5] & 7
    return (1 << 10 + exponent) * (8 + mantissa) // 8
