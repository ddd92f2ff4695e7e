"""Web archives to `document` records: WARC, WET and ARC, plain or compressed by record.

Taken are `response` records of HTML and plain text, `conversion` records (WET) and `resource` records of
text; requests, metadata, revisits and what is no text (images, style sheets, scripts, DNS answers) are no
documents and are passed over, as are responses whose status is not 2xx, unless `statuses: all`; they are
counted by reason. HTML becomes its main text (`html_text`), other text is decoded strictly. A record that
cannot be taken is rejected; a record that is damaged costs itself. Of the drafts WARC 0.17 and 0.18
(ClueWeb09) a record whose length is wrong ends where the next one begins, and a date that is none stands in
`metadata`.

A response is read as a browser reads it: the final one after `100 Continue`; all of several content codings
undone, those that are none (`utf-8`) or were undone by the crawler left alone; its Content-Type parsed as
Fetch does; labels of the WHATWG Encoding Standard. A page without a type is known by its first tag, other
bodies without a type are passed over. Bytes that are no text are a reject whatever the label says. Segments
of a record (WARC 1.1, section 7) are rejected one by one: they are not put together.

Columns: text, id (WARC-Record-ID), url, created (WARC-Date), language (as stated: WARC-Identified-Content-
Language, Content-Language or the page), and for `metadata`: type, status, content_type, title, digest,
truncated (as stated, or `unspecified` where the HTTP body is shorter than its Content-Length). A stated block
digest is compared. Offset and length are those of the record's headers and block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.bytes.byte_reader import ByteReader
from skyhaul_connectors.formats.bytes.compression import DecompressedStream, open_stream
from skyhaul_connectors.formats.bytes.stream import Broken, PlainStream, Stream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.charsets.encodings import (
    UTF_8,
    BadText,
    encoding_labelled,
    labelled,
    marked_or,
)
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject, utf8_length
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import Drift, FieldMap
from skyhaul_connectors.formats.records.times import TimeOptions, Times
from skyhaul_connectors.formats.web import html_extraction, html_text
from skyhaul_connectors.formats.web.arc_records import ARC_LINE, arc_records, begins_arc
from skyhaul_connectors.formats.web.content_type import begins_html, binary_type, content_type, no_document
from skyhaul_connectors.formats.web.digests import matches
from skyhaul_connectors.formats.web.html_text import BadPage
from skyhaul_connectors.formats.web.http_message import BadMessage, parse_response
from skyhaul_connectors.formats.web.warc_records import ArchiveRecord, warc_records
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.printable import printable

_HTML = ("text/html", "application/xhtml+xml")
_TIMES = Times(TimeOptions())
_DIGITS = re.compile(r"[0-9]{14}", re.ASCII)
# A `continuation` is wanted as well: a segment is text that gets lost, so it is a reject, and not passed
# over.
_TYPES = frozenset({"response", "conversion", "resource", "continuation"})


_KINDS = {kind: f"a {kind} record" for kind in ("warcinfo", "request", "metadata", "revisit")}
"""Reasons of what is passed over, by type. Other types share one: reasons are keys of commit records."""


class NoDocument(Exception):
    """A record that is sound and no document; the message is the reason, one of a small set."""


class WarcOptions(StreamOptions):
    """Options of format `warc`.

    extract: the page's main content, or all its text. statuses: which responses are documents. max_record:
    bytes of a record at most. max_page: bytes of an HTML page at most. digests: whether block digests are
    compared."""

    extract: Literal["main", "all"] = "main"
    statuses: Literal["success", "all"] = "success"
    max_record: Size = Field(default=64 * 1024**2, ge=1024)
    max_page: Size = Field(default=2 * 1024**2, ge=1024)
    digests: bool = True


class WarcDecoder(WholeObject):
    """Decoder of web archives."""

    def __init__(self, settings: DecodeSettings, options: WarcOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._fields = FieldMap(settings)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {"pyarrow": pa.__version__, **html_text.fingerprint()}

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        fields = self._fields.for_object(data.chunk.object.path)
        stream: Stream = open_stream(data, self._options) or PlainStream(data, 0, data.chunk.object.size)
        for record in self._records(stream):
            if record.problem is not None:
                tell = account.damage if record.ends else account.reject
                tell(record.offset, record.length, record.problem, record.raw)
            elif record.unwanted:
                account.pass_over(record.offset, _KINDS.get(record.type, "a record of another type"))
            else:
                self._take(record, fields, account, buffer)
            if buffer.full:
                yield buffer.step()
        yield from buffer.rest()

    def _records(self, stream: Stream) -> Iterator[ArchiveRecord]:
        """Yield all records of the archive; a corrupt compressed member costs the records in it."""
        resumed = False
        while True:
            reader = ByteReader(stream)
            try:
                # Only the first member of an ARC says that it is one, and that one may be the corrupt one.
                if reader.peek(9) == b"filedesc:" or (resumed and begins_arc(reader.ahead(ARC_LINE))):
                    yield from arc_records(reader, self._options.max_record)
                else:
                    yield from warc_records(reader, _is_wanted, self._options.max_record)
                return
            except Broken as broken:
                # From where the record began to as far as bytes came out; the stream goes on from there, so
                # that no two records have one offset.
                length = reader.end - reader.start
                raw = reader.beginning[:length]
                yield ArchiveRecord(reader.start, length, problem=broken.reason, raw=raw, ends=True)
            if not isinstance(stream, DecompressedStream) or not stream.resume(_begins):
                return
            resumed = True

    def _take(self, record: ArchiveRecord, fields: FieldMap, account: Account, buffer: RowBuffer) -> None:
        try:
            document = self._document(record)
            row = fields.row(document, account)
            buffer.add(row, record.offset, record.length, utf8_length(document["text"]))
        except NoDocument as no:
            account.pass_over(record.offset, str(no))
        except (BadMessage, BadPage, BadText) as bad:
            account.reject(record.offset, record.length, str(bad), record.raw)
        except Drift as drift:
            account.drift(record.offset, record.length, str(drift), record.raw)

    def _document(self, record: ArchiveRecord) -> dict[str, Any]:
        """Make the record's columns.

        Raises:
            NoDocument: It is sound, and no document.
            BadMessage: Its HTTP response cannot be read.
            BadPage: Its HTML is refused.
            BadText: It is no text, or damaged.
        """
        headers = record.headers or {}
        # First, so that rot is reported as such and not as whatever the parser makes of it.
        if self._options.digests and not matches(headers.get("warc-block-digest"), record.block):
            raise BadText("the block is not what its WARC-Block-Digest states")
        if record.type == "continuation" or "warc-segment-number" in headers:
            number = printable(headers.get("warc-segment-number", ""), 20) or "?"
            raise BadText(f"segmented: this is segment {number}, and segments are not put together")
        document: dict[str, Any] = {
            "id": _identifier(headers.get("warc-record-id")),
            "url": headers.get("warc-target-uri", "").strip("<>") or None,
            "created": headers.get("warc-date"),
            "type": record.type,
            "language": headers.get("warc-identified-content-language"),
        }
        if record.is_draft and not _is_time(document["created"]):
            document["date"], document["created"] = document["created"], _digits_as_time(document["created"])
        for name, key in (("digest", "warc-payload-digest"), ("truncated", "warc-truncated")):
            if key in headers:
                document[name] = headers[key]
        body, header = record.block, headers.get("content-type")
        if record.type == "response" and _is_http(record.block, headers):
            # WARC-Truncated: the crawler stopped on purpose, so what there is of a coded body is kept.
            cut = "truncated" in document
            response = parse_response(record.block, self._options.max_record, cut=cut)
            if self._options.statuses == "success" and not 200 <= response.status < 300:
                raise NoDocument(f"a response of status {response.status}")
            document["status"] = response.status
            if response.is_short and not cut:
                document["truncated"] = "unspecified"
            document["language"] = document["language"] or response.headers.get("content-language")
            body, header = response.body, response.headers.get("content-type")
        # By its URL, whatever type the crawler states: an answer of DNS may be called plain text.
        if str(document["url"]).startswith("dns:"):
            header = "text/dns"
        return self._with_text(document, body, header)

    def _with_text(self, document: dict[str, Any], body: bytes, header: str | None) -> dict[str, Any]:
        stated = content_type(header)
        # Single quotes are none to the standard's parser; servers put them around labels all the same.
        media_type, charset = stated.essence, (stated.charset or "").strip("\"' ") or None
        if not media_type and begins_html(body):
            media_type = "text/html"
        document["content_type"] = media_type
        # XHTML is of the family `application`, which is no text otherwise.
        reason = no_document(media_type) if media_type not in _HTML else None
        if reason is not None:
            raise NoDocument(reason)
        binary = None if _is_wide(charset) else binary_type(body)
        if binary is not None:
            raise BadText(f"no text: the bytes are {binary}, though the type is {media_type}")
        if media_type in _HTML:
            if len(body) > self._options.max_page:
                raise BadPage(f"a page of {len(body)} bytes, more than max_page of {self._options.max_page}")
            page = html_extraction.extract(
                body, charset=charset, main_content=self._options.extract == "main"
            )
            document["text"] = page.text
            document["language"] = document["language"] or page.language
            if page.title is not None:
                document["title"] = page.title
            return document
        document["text"] = _strictly(body, charset)
        return document


def _is_wide(charset: str | None) -> bool:
    return charset is not None and (labelled(charset) or "").startswith("utf-16")


def _begins(member: bytes) -> bool:
    return member.startswith(b"WARC/") or begins_arc(member)


def _is_wanted(headers: Mapping[str, str]) -> bool:
    return headers.get("warc-type", "").lower() in _TYPES


def _is_http(block: bytes, headers: Mapping[str, str]) -> bool:
    """Whether a response is one of HTTP, or says that it is; others are of DNS, FTP and the like."""
    # One that only says so is a reject for its missing status line: passed over, its loss would be no news.
    if block.startswith(b"HTTP/"):
        return True
    kind = content_type(headers.get("content-type")).essence
    if kind:
        return kind == "application/http"
    return headers.get("warc-target-uri", "").lstrip("<")[:5].lower().startswith("http")


def _digits_as_time(date: str | None) -> str | None:
    """Turn a draft's date, 14 digits as ARC writes it, into a time.

    None for any other, such as 2009-03-65, which ClueWeb09 states.
    """
    if date is None or _DIGITS.fullmatch(date) is None:
        return None
    time = f"{date[:4]}-{date[4:6]}-{date[6:8]}T{date[8:10]}:{date[10:12]}:{date[12:]}Z"
    return time if _is_time(time) else None


def _is_time(text: str | None) -> bool:
    try:
        _TIMES.parse(text or "")
    except ValueError:
        return False
    return True


def _identifier(value: str | None) -> str | None:
    return value.strip("<>") if value else None


def _strictly(body: bytes, charset: str | None) -> str | bytes:
    # Strictly, unlike pages: plain text declares nothing inside, so that a wrong label would go unseen.
    encoding = UTF_8 if charset is None else encoding_labelled(charset)
    if encoding is None:
        raise BadText(f"unknown charset {printable(charset or '', 40)!r}")
    return marked_or(encoding, body).text(body)
