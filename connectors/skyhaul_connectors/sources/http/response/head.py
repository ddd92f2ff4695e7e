"""The head of an HTTP/1.1 answer: parsed by llhttp (httptools) in its strict mode, then checked for
what makes a body ambiguous (RFC 9112, section 6.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httptools

HEAD_CAP = 32 * 1024
"""Bytes of a head."""
FIELDS_CAP = 200
"""Lines of a head."""

_ONCE = frozenset(
    (
        b"content-length",
        b"content-range",
        b"content-encoding",
        b"content-type",
        b"transfer-encoding",
        b"etag",
        b"last-modified",
        b"location",
        b"retry-after",
    )
)


class NotHttp(ValueError):
    """The bytes are no answer that can be trusted; the text is the reason."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """`fields`: lower-case name -> value; a name that may be repeated has its first value only,
    but for `link`, which has all of them (RFC 9110, section 5.3).
    `length` is Content-Length; with neither it nor `chunked` the body ends with the connection."""

    status: int
    fields: Mapping[bytes, bytes]
    length: int | None
    chunked: bool
    keep_alive: bool

    @property
    def states_end(self) -> bool:
        """Whether the answer itself says where its body ends, so that one that was cut off is seen."""
        return self.length is not None or self.chunked

    def text(self, name: bytes) -> str | None:
        """A field as text (latin-1, as RFC 9110 has it), or None."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


class _Collector:
    __slots__ = ("body", "complete", "fields", "keep_alive", "parser")

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.keep_alive = False
        self.body = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.complete = True
        # Only now: behind the end of an answer, which a length of 0 brings at once, llhttp has forgotten it.
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, _data: bytes) -> None:
        self.body = True


def parse_head(data: bytes) -> AnswerHead:
    """`data` ends with the empty line. Raises NotHttp."""
    collector = _Collector()
    try:
        collector.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        raise NotHttp("an upgrade that nobody asked for") from None
    except httptools.HttpParserError as error:
        raise NotHttp(f"not HTTP: {error}") from None
    parser = collector.parser
    del collector.parser  # they hold each other
    if not collector.complete or collector.body:
        raise NotHttp("a head that does not end where it should")
    if len(collector.fields) > FIELDS_CAP:
        raise NotHttp(f"more than {FIELDS_CAP} header lines")
    fields: dict[bytes, bytes] = {}
    for name, value in collector.fields:
        if name not in fields:
            fields[name] = value
        elif name == b"link":
            fields[name] += b", " + value
        elif name in _ONCE:
            raise NotHttp(f"{name.decode('latin-1')} twice")
    chunked = b"transfer-encoding" in fields
    if chunked and fields[b"transfer-encoding"].strip().lower() != b"chunked":
        raise NotHttp("an unknown Transfer-Encoding")
    return AnswerHead(
        parser.get_status_code(),
        fields,
        None if chunked else _length(fields.get(b"content-length")),
        chunked,
        # Who sends HTTP/1.0 may not know what it passes on: such framing is not trusted for what follows (RFC
        # 9112, section 6.1).
        collector.keep_alive and not (chunked and parser.get_http_version() == "1.0"),
    )


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    digits = value.strip()
    if not digits.isdigit() or len(digits) > 18:
        raise NotHttp("a Content-Length that is no number")
    return int(digits)
