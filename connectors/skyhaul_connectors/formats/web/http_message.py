"""An HTTP response as an archive keeps it: status, headers and the body with its codings undone.

RFC 9112. Archives hold what servers sent, so a body that its headers describe wrongly is common: a body that
says `chunked` and is not is taken as it is (crawlers decode it and keep the header), and so is one that says
`br` and is plain text. A content coding that is none (`utf-8`, `none`) says nothing. One that is unknown or
cannot be undone is an error, since then the bytes are no text. Interim responses (`100 Continue`) are passed.

A coded body must come to its end: the libraries stop in silence where it is cut off, or after its first
member. A plain one that is shorter than its Content-Length may be all there was, so it is marked only.
What follows the last gzip member or zstd frame is no part of the body, as in browsers.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import brotli  # type: ignore[import-untyped]  # ships no types

from skyhaul_connectors.formats.bytes.codecs import CODECS, Codec, CorruptInput, GzipMember
from skyhaul_connectors.formats.bytes.zstd_frames import ZstdFrames
from skyhaul_connectors.formats.charsets.whatwg import name_of
from skyhaul_connectors.formats.web.content_type import looks_like_text

_HEADER_LIMIT = 256 * 1024
"""Bytes of a response's head at most. Chosen, not measured."""
# `HTTP/2 200` as well: crawlers write a status line for protocols that have none.
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t].*)?", re.ASCII)
# RFC 9112, section 7.1, with white space around the size. More than eight digits are the size of no chunk.
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
# Where a body is cut off in the line before a chunk, it was chunked all the same.
_CHUNK_BEGUN = re.compile(rb"\r?|[ \t]*[0-9a-fA-F]{1,8}[ \t]*(?:;[^\r\n]*)?\r?")
_MEMBERS = 1000
"""Gzip members or zstd frames of a body at most; servers that send several send a few."""
_PIECE = 256 * 1024
"""Input given to a decoder at once: more than a zstd block, so that each call gets on."""
_ZSTD_WINDOW = 8 * 1024**2
"""What HTTP allows a frame to ask for (RFC 9659)."""
_CODINGS = 5
"""Content codings of a body at most, as in curl; servers that apply several apply two."""
_INTERIM = 16
"""Interim responses before the final one at most."""
_PLAIN = frozenset(
    {"", "identity", "none", "null", "off", "no", "default", "plain", "text", "binary", "7bit", "8bit"}
)
"""Values of Content-Encoding that encode nothing; `7bit` and its like are transfer encodings of MIME."""
_LISTS = frozenset({"content-encoding", "content-type", "transfer-encoding"})
"""Headers of which several of one name count as one, joined by commas."""
_BODILESS = frozenset({204, 304})
"""Statuses whose responses have no body, whatever their Content-Length says (RFC 9112, section 6.3)."""
# A header that goes on in the next line (`obs-fold`; RFC 9112, section 5.2).
_FOLD = re.compile(rb"\n[ \t]+")


class BadMessage(ValueError):
    """Not a response, or a body that cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """A final response."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name: of several the first, but those of `_LISTS` joined by `, `."""
    body: bytes
    """With its transfer and content codings undone."""
    is_short: bool = False
    """A plain body is shorter than its Content-Length; of a coded one nothing is said."""


def parse_response(block: bytes, limit: int, *, cut: bool = False) -> Response:
    """Parse the response in `block`: the final one, if interim ones come before it.

    Args:
        block: Status line, headers and body.
        limit: Bytes of the body at most, with its codings undone.
        cut: Whether the archive says that the body was cut off; what there is of a coded one is taken then.

    Raises:
        BadMessage: There is no response, or its body cannot be had.
    """
    status, headers, body = _message(block)
    # 101 is final: what follows it is another protocol (RFC 9110, section 15.2.2). An interim response that
    # nothing follows is what the archive has.
    for _ in range(_INTERIM):
        if not 100 <= status < 200 or status == 101 or not body.lstrip(b"\r\n").startswith(b"HTTP/"):
            break
        status, headers, body = _message(body.lstrip(b"\r\n"))
    # Before anything is undone: Content-Length counts the bytes that were sent.
    is_short = _is_short(status, headers, body)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body, cut)
    codings = [coding for coding in _codings(headers) if not _is_none(coding)]
    if len(codings) > _CODINGS:
        raise BadMessage(f"HTTP body: {len(codings)} content codings, more than {_CODINGS}")
    # Listed in the order in which they were applied (RFC 9110, section 8.4). Each one is held to `limit`, so
    # that a bomb inside of a bomb never unfolds.
    for coding in reversed(codings):
        body = _undo(coding, body, limit, cut)
    if len(body) > limit:
        raise BadMessage(f"HTTP body of {len(body)} bytes, more than {limit}")
    return Response(status, headers, body, is_short)


def _message(block: bytes) -> tuple[int, dict[str, str], bytes]:
    """Part a message into status, headers and what follows them."""
    head, _, body = _split(block)
    lines = _FOLD.sub(b" ", head.replace(b"\r\n", b"\n")).split(b"\n")
    status = _STATUS.fullmatch(lines[0].strip())
    if status is None:
        raise BadMessage("no HTTP status line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        raw_name, colon, raw_value = line.partition(b":")
        if not colon:
            continue
        # Latin-1 takes any byte, and servers send any (RFC 9110, section 5.5).
        name, value = raw_name.strip().lower().decode("latin-1"), raw_value.strip().decode("latin-1")
        if name in _LISTS and name in headers:
            headers[name] += f", {value}"
        else:
            headers.setdefault(name, value)
    return int(status[1]), headers, body


def _codings(headers: Mapping[str, str]) -> list[str]:
    """The content codings in the order in which they were applied, without parameters."""
    stated = headers.get("content-encoding", "").split(",")
    return [coding.partition(";")[0].strip(" \t\"'").lower() for coding in stated]


def _is_none(coding: str) -> bool:
    """Whether a content coding encodes nothing: servers put a charset there, too, or a media type."""
    return coding in _PLAIN or "/" in coding or "charset" in coding or name_of(coding) is not None


def _is_short(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a plain body is shorter than its Content-Length.

    Nothing is said of a coded one: the length may be that of the bytes which the server sent and which the
    crawler then stored decoded. Such a body shows by its own end whether it is whole.
    """
    stated = headers.get("content-length", "")
    if not (stated.isascii() and stated.isdigit()) or len(stated) > 18 or int(stated) <= len(body):
        return False
    if "transfer-encoding" in headers or status in _BODILESS:
        return False
    return not body or all(_is_none(coding) for coding in _codings(headers))


def _split(block: bytes) -> tuple[bytes, bytes, bytes]:
    # Whichever empty line comes first ends the head: a bare LF may end a line (RFC 9112, section 2.2).
    crlf = block.find(b"\r\n\r\n", 0, _HEADER_LIMIT)
    lf = block.find(b"\n\n", 0, _HEADER_LIMIT if crlf < 0 else crlf + 1)
    if lf >= 0:
        return block[:lf], b"", block[lf + 2 :]
    if crlf >= 0:
        return block[:crlf], b"", block[crlf + 4 :]
    if len(block) > _HEADER_LIMIT:
        raise BadMessage("HTTP headers that do not end")
    return block, b"", b""


def _unchunked(body: bytes, cut: bool) -> bytes:
    """Join the chunks of a body; one that does not consist of chunks is returned as it is.

    Raises:
        BadMessage: The last chunk is missing, and `cut` is not set.
    """
    parts: list[bytes] = []
    at = 0
    while (size := _CHUNK.match(body, at)) is not None:
        length = int(size[1], 16)
        at = size.end()
        if not length:
            return b"".join(parts)
        parts.append(body[at : at + length])
        at += length
        if at > len(body) and body[size.end() - 2] != 0x0D:
            return body  # a first line that looks like a size; servers end theirs with CRLF
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
        elif at < len(body) and body[at:] != b"\r":
            return body
    # The rest is nothing, or the beginning of a chunk; else these were no chunks.
    if not parts or _CHUNK_BEGUN.fullmatch(body, at) is None:
        return body
    if not cut:
        raise BadMessage(
            f"HTTP body: truncated chunked: {len(body)} bytes hold {len(parts)} chunks, and no last one"
        )
    return b"".join(parts)


def _undo(coding: str, body: bytes, limit: int, cut: bool) -> bytes:
    if not body:
        return body
    try:
        if coding in ("gzip", "x-gzip"):
            if not body.startswith(b"\x1f\x8b"):
                return body  # undone by the crawler, which kept the header
            plain, whole = _unpacked(CODECS["gzip"], GzipMember, body, limit)
        elif coding == "deflate":
            # The coding is zlib's format, but some servers send bare deflate (RFC 9110, section 8.4.1.2). A
            # zlib header names method 8 and is a multiple of 31 (RFC 1950).
            wbits = 15 if body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -15
            inflater = zlib.decompressobj(wbits)
            # One byte more than the limit tells a body that is larger from one that just fits.
            plain, whole = inflater.decompress(body, limit + 1), inflater.eof
            if not whole and _is_undone(body):
                return body
        elif coding == "br":
            plain, whole = _unbrotli(body, limit)
            if not whole and len(plain) <= limit and _is_undone(body):
                return body
        elif coding == "zstd":
            if CODECS["zstd"].starts.match(body) is None and _is_undone(body):
                return body
            opener = ZstdFrames(CorruptInput, _ZSTD_WINDOW).frame
            plain, whole = _unpacked(CODECS["zstd"], opener, body, limit)
        else:
            raise BadMessage(f"HTTP body: unknown content coding {coding[:40]!r}")
    except (zlib.error, brotli.error, CorruptInput, MemoryError) as error:
        # Neither of these two has a magic number: only decoding tells whether the crawler has undone them.
        if coding in ("deflate", "br") and _is_undone(body):
            return body
        raise BadMessage(f"HTTP body: corrupt {coding}: {' '.join(str(error).split())}") from None
    if not (whole or cut or len(plain) > limit):
        raise BadMessage(f"HTTP body: truncated {coding}: {len(body)} bytes gave {len(plain)}, and no end")
    return plain


def _is_undone(body: bytes) -> bool:
    """Whether a body that says to be compressed is so no more, or only as an earlier coding left it."""
    return looks_like_text(body) or any(CODECS[name].magic.match(body) for name in ("gzip", "zstd"))


def _unpacked(codec: Codec, opener: Callable[[], Any], body: bytes, limit: int) -> tuple[bytes, bool]:
    """Decompress all members of a body.

    Returns:
        Hardly more than `limit` bytes of output, and whether the last member came to its end.

    Raises:
        CorruptInput: A member is damaged.
        BadMessage: There are too many members.
    """
    out: list[bytes] = []
    size = at = 0
    for _ in range(_MEMBERS):
        member = opener()
        while not member.eof:
            given = body[at : at + _PIECE]
            piece = member.decompress(given, limit + 1 - size)
            at += len(given) - member.left
            out.append(piece)
            size += len(piece)
            # No output, no end, and no input left over: the body ends inside of this member.
            if size > limit or not (piece or member.eof or member.left < len(given)):
                return b"".join(out), False
        if codec.starts.match(body, at) is None:
            return b"".join(out), True
    raise BadMessage(f"HTTP body: more than {_MEMBERS} {codec.name} {codec.unit}s")


def _unbrotli(body: bytes, limit: int) -> tuple[bytes, bool]:
    decoder = brotli.Decompressor()
    out: list[bytes] = []
    size = 0
    given = body
    # `can_accept_more_data` may say yes while output is held back: only an empty piece says that none is.
    while size <= limit and not decoder.is_finished():
        piece = decoder.process(given, output_buffer_limit=64 * 1024)
        if not piece and not given:
            break
        out.append(piece)
        size += len(piece)
        given = b""
    return b"".join(out), decoder.is_finished()
