"""Compressed objects: which codec, and their bytes as a stream with an honest end.

The libraries stop in silence where an object is cut off, or after its first member. Here an object must
hold whole members (gzip members, zstd and lz4 frames, bzip2 and xz streams) up to its last byte; zero
padding after one is passed over. Anything else raises Broken at the offset that was reached. Bombs are
caught by output and by ratio, so that neither time nor disk is unbounded; memory is by construction: input
comes in pieces of 64 KiB, output in pieces of at most 1 MiB, and a zstd window of at most
`zstd_window` (128 MiB by default).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from skyhaul_connectors.formats.bytes.codecs import CODECS, Codec, CorruptInput, RefusedInput, by_magic
from skyhaul_connectors.formats.bytes.stream import Broken, Stream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.protocol import ChunkBytes
from skyhaul_schemas.plan import PinnedObject

HEAD = 16
"""Bytes that `by_magic` looks at."""

_INPUT = 64 * 1024
"""Compressed bytes that are read at once; with `_OUTPUT` it bounds the memory of a stream. Chosen, not
measured; a zstd block, which is decompressed whole, may be twice as large, and is gathered."""

_FIRST = 8 * 1024
"""Bytes that a new member is given first. A small member ends in them; with more, it would be handed, and
copy, much of what belongs to the members behind it."""

_CANDIDATES = 10_000
"""Places of a magic number that `resume` tries. Each costs the decompression of up to `_INPUT` bytes, and
hostile bytes may hold one in every three; in random ones gzip's stands once in 16 MiB."""

_OUTPUT = 1024 * 1024
"""Bytes that one `read` gives at most, so that a caller that asks for much gets no bomb at once."""

_RATIO_FROM = 64 * 1024 * 1024
"""Bytes of output from which on `max_ratio` counts; below, small and very regular objects pass."""

_EMPTY_MEMBERS = 10_000
"""Members without output in a row. They cost time and never reach a cap on output; one at the end is usual
(BGZF's end mark)."""


def codec_of(path: str) -> str | None:
    """Name of the codec that the suffix of `path` states; None without one."""
    lower = path.lower()
    for name, codec in CODECS.items():
        if lower.endswith(codec.suffixes):
            return name
    return None


def stem_of(path: str) -> str:
    """`path` without its compression suffix; `.tgz` and the like become `.tar`."""
    lower = path.lower()
    for codec in CODECS.values():
        for suffix in codec.suffixes:
            if lower.endswith(suffix):
                return path[: -len(suffix)] + (".tar" if suffix.startswith(".t") else "")
    return path


def is_compressed(
    obj: PinnedObject, options: StreamOptions, read: Callable[[int, int], bytes] | None
) -> bool:
    """Whether an object is compressed, so that it must stay whole.

    Args:
        obj: The object.
        options: `compression` of its source.
        read: Gives (offset, length) of the object, for its first bytes; None where nothing can be read."""
    if options.compression != "auto":
        return options.compression != "none"
    if codec_of(obj.path) is not None:
        return True
    return read is not None and by_magic(read(0, HEAD)) is not None


def open_stream(data: ChunkBytes, options: StreamOptions) -> Stream | None:
    """The chunk's object as a decompressed stream; None where it is plain."""
    obj = data.chunk.object
    name: str | None = options.compression
    # Only plain objects are cut, which was found out when they were planned (`is_compressed`). To look again
    # at the first bytes would cost each chunk a fetch of its own.
    if name == "none" or data.chunk.length != obj.size:
        return None
    if name == "auto":
        stated = codec_of(obj.path)
        head = data.read(0, HEAD)
        # The bytes go before the name; the name counts where they say nothing, as in an object that is cut
        # off or empty, or begins with a skippable frame.
        name = by_magic(head)
        if name is None and stated is not None:
            if head and not CODECS[stated].may_begin(head):
                return _Unreadable(f"its name says {stated}, its first bytes do not")
            name = stated
        if name is None:
            return None
    assert name is not None
    return DecompressedStream(data, CODECS[name], options)


class DecompressedStream:
    """The members of a compressed object, one after the other.

    Attributes:
        position: Offset in the decompressed stream of the next byte.
        members: How many members were whole so far."""

    def __init__(self, data: ChunkBytes, codec: Codec, options: StreamOptions) -> None:
        self.position = 0
        self.members = 0
        self._data = data
        self._size = data.chunk.object.size
        self._codec = codec
        self._open = codec.opener(options)
        self._options = options
        # Input [_read_to - len(_buffer), _read_to) of the object; what lies before `_at` is used up.
        self._buffer = b""
        self._at = 0
        self._read_to = 0
        self._member: _Member | None = None
        self._member_from = 0
        self._fresh = True
        self._empty = 0
        self._broken: Broken | None = None
        # After a bomb nothing is resumed: the rest of the object would only be the rest of the bomb.
        self._gave_up = False

    @property
    def consumed(self) -> int:
        """How many compressed bytes were used up."""
        return self._read_to - len(self._buffer) + self._at

    def read(self, length: int) -> bytes:
        if self._broken is not None:
            raise self._broken
        try:
            return self._read(min(length, _OUTPUT))
        except Broken as broken:
            # It stays broken at the same place and with the same words, however often a caller asks.
            self._broken = broken
            raise

    def resume(self, is_beginning: Callable[[bytes], bool]) -> bool:
        """After a corrupt member, goes on with the next one whose output `is_beginning` accepts.

        The position goes on from where it was, so that offsets stay unique. Only members of gzip and zstd are
        looked for: archives with a member for each record (WARC, ARC) come in those.

        Returns:
            Whether there was one; if not, the stream stays broken."""
        if self._broken is None or self._gave_up or self._codec.name not in ("gzip", "zstd"):
            return False
        at = self._member_from + 1
        window = b""
        for _ in range(_CANDIDATES):
            while (found := self._codec.magic_at(window)) < 0:
                # The longest magic number that is looked for here, that of zstd, has four bytes.
                keep = len(window) - min(len(window), 3)
                at, window = at + keep, window[keep:]
                more = self._data.read(at + len(window), _INPUT)
                if not more:
                    return False
                window += more
            at, window = at + found, window[found:]
            if self._begins(at, is_beginning):
                self._read_to, self._buffer, self._at, self._member, self._broken = at, b"", 0, None, None
                return True
            at, window = at + 1, window[1:]
        return False

    def _begins(self, at: int, is_beginning: Callable[[bytes], bool]) -> bool:
        try:
            # A chance magic number mostly fails here; one that does not is weeded out by what comes out.
            ahead: bytes = self._open().decompress(self._data.read(at, _INPUT), _OUTPUT)
            return is_beginning(ahead)
        except CorruptInput:
            return False

    def _read(self, length: int) -> bytes:
        while True:
            if self._member is None and not self._next_member():
                return b""
            assert self._member is not None
            # Small members are common in archives: what a member does not take need not be handled by it.
            stop = self._at + _FIRST if self._fresh else len(self._buffer)
            given = self._buffer[self._at : stop]
            try:
                piece = self._member.decompress(given, length)
            except RefusedInput as refused:
                raise self._stop(f"{self._codec.name}: {refused}") from None
            except CorruptInput as corrupt:
                raise self._stop(f"corrupt {self._codec.name}: {corrupt}") from None
            self._at += len(given) - self._member.left
            if self._member.eof:
                self._end_member(bool(piece))
            elif not piece and stop >= len(self._buffer) and not self._fill():
                raise self._stop(f"truncated: the object ends inside a {self._codec.name} {self._codec.unit}")
            self._fresh = False
            if piece:
                self._empty = 0
                return self._given(piece)

    def _next_member(self) -> bool:
        if self._at == len(self._buffer) and not self._fill():
            return False
        # Zeros before the first member are no padding: then the object is something else.
        if self.members and not self._buffer[self._at]:
            while not (rest := self._buffer[self._at :]).strip(b"\0"):
                # Dropped as it comes, in whole units: a tape may be filled up with gigabytes of it.
                self._at += len(rest) - len(rest) % self._codec.padding
                if not self._fill():
                    return False
            self._at = len(self._buffer) - len(self._codec.skip_padding(self._buffer[self._at :]))
        # A member's first bytes may be cut by the end of what was read.
        while len(self._buffer) - self._at < HEAD and self._fill():
            pass
        self._member_from = self.consumed
        if not self._codec.may_begin(self._buffer[self._at : self._at + HEAD]):
            where = "trailing garbage" if self.members else f"not a {self._codec.name} {self._codec.unit}"
            raise self._stop(f"{where}: {self._size - self.consumed} bytes are left")
        self._member, self._fresh = self._open(), True
        return True

    def _end_member(self, had_output: bool) -> None:
        self._member = None
        self.members += 1
        self._empty = 0 if had_output else self._empty + 1
        if self._empty > _EMPTY_MEMBERS:
            raise self._stop(f"more than {_EMPTY_MEMBERS} empty members in a row")

    def _fill(self) -> bool:
        more = self._data.read(self._read_to, _INPUT)
        self._read_to += len(more)
        self._buffer = self._buffer[self._at :] + more
        self._at = 0
        return bool(more)

    def _given(self, piece: bytes) -> bytes:
        """`piece` as far as the caps allow; what is beyond them breaks the next read."""
        limit = self._options.max_output
        if self.position + len(piece) > limit:
            piece = piece[: limit - self.position]
            self._give_up(f"more than max_output of {limit} bytes")
        self.position += len(piece)
        if self.position > _RATIO_FROM and self.position > self._options.max_ratio * max(1, self.consumed):
            self._give_up(f"more than {self._options.max_ratio:g} times its input")
        # A stream gives at least one byte, or breaks: b"" would mean its end.
        if self._broken is not None and not piece:
            raise self._broken
        return piece

    def _give_up(self, reason: str) -> None:
        self._gave_up = True
        self._broken = self._stop(f"decompression bomb: {reason}")

    def _stop(self, reason: str) -> Broken:
        return Broken(f"{reason} (at compressed byte {self.consumed} of {self._size})")


class _Member(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def left(self) -> int: ...
    def decompress(self, data: bytes, length: int) -> bytes: ...


class _Unreadable:
    position = 0

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def read(self, length: int) -> bytes:
        raise Broken(self._reason)
