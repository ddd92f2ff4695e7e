"""The head of an HTTP/1.1 answer.

It is parsed by llhttp (httptools) in its strict mode, then checked for what makes a body ambiguous (RFC 9112,
section 6.3): where two readers see two ends of a body, bytes of one answer are taken for another's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httptools

HEAD_CAP = 32 * 1024
"""Bytes of a head. S3's have some 650, nginx's 300 (docs/transfer.md). Chosen, not measured."""
FIELDS_CAP = 200
"""Lines of a head. Chosen, not measured."""

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
"""Fields on which a verdict rests: with two of them it would depend on which one is looked at.
Content-Encoding may come in several lines (RFC 9110, section 5.3), but two codings are never what was asked
for."""


class NotHttp(ValueError):
    """The bytes are no answer that can be trusted; the text is the reason."""


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """The head of one answer.

    Attributes:
        status: The status code; 1xx too.
        fields: Lower-case name -> value. A name that may be repeated has its first value only, but for
            `link`, which has all of them (RFC 9110, section 5.3).
        length: Content-Length in bytes, or None. With neither it nor `chunked` the body ends with the
            connection.
        chunked: The body has its own frames (RFC 9112, section 7.1).
        keep_alive: The connection may be used for another request.
    """

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
    """The callbacks of one parse."""

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
        # Only now: behind the end of an answer, which a length of 0 brings at once, llhttp says False.
        self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, _data: bytes) -> None:
        # Only where llhttp sees the end of the head earlier than the search for CR LF CR LF did.
        self.body = True


def parse_head(data: bytes) -> AnswerHead:
    """`data` ends with the empty line. Raises NotHttp."""
    # A parser for each head: one that saw several would wait for the bodies between them.
    collector = _Collector()
    try:
        collector.parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        raise NotHttp("an upgrade that nobody asked for") from None
    except httptools.HttpParserError as error:
        raise NotHttp(f"not HTTP: {error}") from None
    parser = collector.parser
    del collector.parser  # they hold each other, and would wait for the garbage collector
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
    # llhttp refuses it beside a Content-Length (RFC 9112, section 6.1). `gzip, chunked` would be an encoding
    # that nobody asked for: there is no TE field in our requests.
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
    # RFC 9112, section 6.3, allows `5, 5`. Here a length is stated once, or the answer is refused.
    digits = value.strip()
    if not digits.isdigit() or len(digits) > 18:
        raise NotHttp("a Content-Length that is no number")
    return int(digits)
