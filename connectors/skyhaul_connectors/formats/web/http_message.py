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
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t].*)?", re.ASCII)
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
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
_LISTS = frozenset({"content-encoding", "content-type", "transfer-encoding"})
"""Headers of which several of one name count as one, joined by commas."""
_BODILESS = frozenset({204, 304})
_FOLD = re.compile(rb"\n[ \t]+")


class BadMessage(ValueError):
    """Not a response, or a body that cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """headers: by lower-case name; of repeated ones the first, but lists are joined by `, `. body: codings
    undone. is_short: a plain one is shorter than its Content-Length."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    is_short: bool = False


def parse_response(block: bytes, limit: int, *, cut: bool = False) -> Response:
    """The response in `block`, the final one where interim ones come before it; its body may come out at
    `limit` bytes at most. `cut`: the archive states that the body was cut off, so that what there is of a
    coded one is taken. Raises BadMessage."""
    status, headers, body = _message(block)
    for _ in range(_INTERIM):
        if not 100 <= status < 200 or status == 101 or not body.lstrip(b"\r\n").startswith(b"HTTP/"):
            break
        status, headers, body = _message(body.lstrip(b"\r\n"))
    is_short = _is_short(status, headers, body)
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body, cut)
    codings = [coding for coding in _codings(headers) if not _is_none(coding)]
    if len(codings) > _CODINGS:
        raise BadMessage(f"HTTP body: {len(codings)} content codings, more than {_CODINGS}")
    for coding in reversed(codings):
        body = _undo(coding, body, limit, cut)
    if len(body) > limit:
        raise BadMessage(f"HTTP body of {len(body)} bytes, more than {limit}")
    return Response(status, headers, body, is_short)


def _message(block: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what follows them."""
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
        name, value = raw_name.strip().lower().decode("latin-1"), raw_value.strip().decode("latin-1")
        if name in _LISTS and name in headers:
            headers[name] += f", {value}"
        else:
            headers.setdefault(name, value)
    return int(status[1]), headers, body


def _codings(headers: Mapping[str, str]) -> list[str]:
    """In the order in which they were applied, without parameters."""
    stated = headers.get("content-encoding", "").split(",")
    return [coding.partition(";")[0].strip(" \t\"'").lower() for coding in stated]


def _is_none(coding: str) -> bool:
    """Whether a content coding is none: servers put a charset there, or a media type."""
    return coding in _PLAIN or "/" in coding or "charset" in coding or name_of(coding) is not None


def _is_short(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a plain body is shorter than stated. Of a coded one the length may be that of what the server
    sent, where the crawler stored it decoded; its own end says whether it is whole."""
    stated = headers.get("content-length", "")
    if not (stated.isascii() and stated.isdigit()) or len(stated) > 18 or int(stated) <= len(body):
        return False
    if "transfer-encoding" in headers or status in _BODILESS:
        return False
    return not body or all(_is_none(coding) for coding in _codings(headers))


def _split(block: bytes) -> tuple[bytes, bytes, bytes]:
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
    """The chunks put together; the body as it is where it does not consist of chunks. Raises BadMessage where
    they end before the last one, unless `cut`."""
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
            wbits = 15 if body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -15
            inflater = zlib.decompressobj(wbits)
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
    """What the members give, hardly more than `limit`; whether the last one ended. Raises CorruptInput and
    BadMessage."""
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
