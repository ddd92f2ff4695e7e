"""An HTTP response as an archive keeps it: status, headers and the body with its codings undone.

RFC 9112. Archives hold what servers sent, so a body that its headers describe wrongly is common: a body that
says `chunked` and is not is taken as it is (crawlers decode it and keep the header); a content coding that
cannot be undone is an error, since then the bytes are no text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import brotli  # type: ignore[import-untyped]  # ships no types
import zstandard

_HEADER_LIMIT = 256 * 1024
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?:[ \t].*)?", re.ASCII)
_CHUNK = re.compile(rb"[ \t]*([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:+-]{1,40})", re.I)


class BadMessage(ValueError):
    """Not a response, or a body that cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Response:
    """headers: by lower-case name; of repeated ones the first. body: codings undone."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """`text/html`, lower case; empty where none is stated."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        return charset_of(self.headers.get("content-type", ""))


def charset_of(content_type: str) -> str | None:
    match = _CHARSET.search(content_type)
    return match[1] if match else None


def parse_response(block: bytes, limit: int) -> Response:
    """The response in `block`; its body may come out at `limit` bytes at most. Raises BadMessage."""
    head, _, body = _split(block)
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    status = _STATUS.fullmatch(lines[0].strip())
    if status is None:
        raise BadMessage("no HTTP status line")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if colon:
            headers.setdefault(name.strip().lower().decode("latin-1"), value.strip().decode("latin-1"))
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    for coding in reversed([c.strip().lower() for c in headers.get("content-encoding", "").split(",")]):
        body = _undo(coding, body, limit)
    if len(body) > limit:
        raise BadMessage(f"HTTP body of {len(body)} bytes, more than {limit}")
    return Response(int(status[1]), headers, body)


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


def _unchunked(body: bytes) -> bytes:
    """The chunks put together; the body as it is where it does not consist of chunks."""
    parts: list[bytes] = []
    at = 0
    while (size := _CHUNK.match(body, at)) is not None:
        length = int(size[1], 16)
        at = size.end()
        if not length:
            return b"".join(parts)
        parts.append(body[at : at + length])
        at += length
        if at >= len(body):
            # The archive cut the body off between chunks or within one.
            return b"".join(parts)
        if body.startswith(b"\r\n", at):
            at += 2
        elif body.startswith(b"\n", at):
            at += 1
    return body


def _undo(coding: str, body: bytes, limit: int) -> bytes:
    if coding in ("", "identity", "none", "utf-8") or not body:
        return body
    try:
        if coding in ("gzip", "x-gzip"):
            if not body.startswith(b"\x1f\x8b"):
                return body  # undone by the crawler, which kept the header
            return _inflated(body, 31, limit)
        if coding == "deflate":
            wbits = 15 if body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0 else -15
            return _inflated(body, wbits, limit)
        if coding == "br":
            return _unbrotli(body, limit)
        if coding == "zstd":
            with zstandard.ZstdDecompressor(max_window_size=8 * 1024**2).stream_reader(body) as reader:
                return bytes(reader.read(limit + 1))
    except (zlib.error, brotli.error, zstandard.ZstdError, MemoryError) as error:
        raise BadMessage(f"HTTP body: corrupt {coding}: {' '.join(str(error).split())}") from None
    raise BadMessage(f"HTTP body: unknown content coding {coding[:40]!r}")


def _inflated(body: bytes, wbits: int, limit: int) -> bytes:
    return zlib.decompressobj(wbits).decompress(body, limit + 1)


def _unbrotli(body: bytes, limit: int) -> bytes:
    decoder = brotli.Decompressor()
    out = [decoder.process(body, output_buffer_limit=64 * 1024)]
    size = len(out[0])
    while size <= limit and not decoder.can_accept_more_data():
        piece = decoder.process(b"", output_buffer_limit=64 * 1024)
        if not piece:
            break
        out.append(piece)
        size += len(piece)
    return b"".join(out)
