"""Text objects to `document` records: the whole object, or each paragraph of it.

`encoding` names any text encoding that Python knows; without it an object is UTF-8, or what its byte order
mark says (UTF-8, UTF-16, UTF-32); `detect` asks charset-normalizer where UTF-8 does not fit. The mark is no
part of the text. Bytes that the encoding does not allow reject the record; nothing is replaced. An empty
object gives no record, nor does one of ASCII white space only: with `unit: object` they are counted as passed
over.

`unit: object` makes one record an object, at most `max_record` bytes long; offset and length are the
object's. `unit: paragraph` makes one record a paragraph, a run of lines that are not blank, line ends inside
it kept; offset and length are those of its bytes without the last line end. Paragraphs of plain objects in
UTF-8 (or another encoding in which a byte below 128 is always that ASCII character) are cut anywhere:
a paragraph belongs to the chunk in which it begins.

The encoding is stated in `metadata` where it is not UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.compression import is_compressed, open_stream
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject, even_cuts, with_surroundings
from skyhaul_connectors.formats.encodings import UTF_8, BadText, Encoding, detect, encoding_named, encoding_of
from skyhaul_connectors.formats.fields import Drift, FieldMap
from skyhaul_connectors.formats.lines import Rest
from skyhaul_connectors.formats.options import StreamOptions
from skyhaul_connectors.formats.paragraphs import Paragraph, paragraphs_of_chunk, paragraphs_of_stream
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.stream import PlainStream, Stream
from skyhaul_connectors.formats.whole_body import read_whole
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job import Size
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import EMPTY_OBJECT

_BLANK = " \t\r\n\x0b\x0c"

BLANK_OBJECT = "an object of white space only"

COLUMNS = ("body", "encoding", "@path", "@name", "@stem")
"""What `fields` may name: the text, its encoding, and what stands for the object."""


class TextOptions(StreamOptions):
    """unit: what a record is. encoding: a name that Python knows, or `detect`. max_record: bytes of a record
    at most."""

    unit: Literal["object", "paragraph"] = "object"
    encoding: str | None = None
    max_record: Size = Field(default=64 * 1024**2, ge=1024)


class TextDecoder(WholeObject):
    """Decoder of text to `document`."""

    def __init__(self, settings: DecodeSettings, options: TextOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._detect = options.encoding == "detect"
        self._declared = encoding_named(options.encoding) if options.encoding and not self._detect else None
        if options.unit == "paragraph" and self._declared is not None and not self._declared.stateless:
            raise UsageError(
                f"decode option 'unit': paragraphs of {self._declared.name} have no byte offsets;"
                " use unit: object"
            )
        named = {"text": "body", **settings.fields}
        self.fields = FieldMap(DecodeSettings(settings.schema, named, on_drift=settings.on_drift))
        for field, column in settings.fields.items():
            if column not in COLUMNS:
                raise UsageError(
                    f"fields: {field}: text has no column {column!r} (it has: {', '.join(COLUMNS)})"
                )

    @property
    def fingerprint(self) -> Mapping[str, str]:
        versions = {"pyarrow": pa.__version__}
        if self._detect:
            versions["charset-normalizer"] = version("charset-normalizer")
        return versions

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        cuttable = (
            self._options.unit == "paragraph" and self._declared is not None and self._declared.cuttable
        )
        if obj.size <= chunk_size or not cuttable or is_compressed(obj, self._options, read):
            return iter([(0, obj.size)])
        return even_cuts(obj.size, chunk_size)

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        return with_surroundings(chunk)

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        stream = open_stream(data, self._options)
        if self._options.unit == "object":
            yield from self._object(data, stream, account)
        elif self._declared is not None and self._declared.cuttable:
            if stream is None:
                found = paragraphs_of_chunk(data, self._options.max_record)
            else:
                found = paragraphs_of_stream(stream, self._options.max_record)
            yield from self._paragraphs(data, found, self._declared, account)
        else:
            yield from self._whole_paragraphs(data, stream, account)

    def _object(self, data: ChunkBytes, stream: Stream | None, account: Account) -> Iterator[Decoded]:
        raw = self._read(data, stream, account)
        if raw:
            batch = _Rows(self, data, account)
            if not batch.add(0, raw, self._encoding(raw)):
                account.pass_over(0, BLANK_OBJECT)
            yield from batch.buffer.rest()
            return
        if raw is not None:
            account.pass_over(0, EMPTY_OBJECT)
        yield account.step(self.empty())

    def _read(self, data: ChunkBytes, stream: Stream | None, account: Account) -> bytes | None:
        """The whole object, or None after it was rejected."""
        stream = stream if stream is not None else PlainStream(data, 0, data.chunk.object.size)
        return read_whole(stream, self._options.max_record, "max_record", account)

    def _encoding(self, raw: bytes) -> Encoding:
        if self._declared is not None:
            return self._declared
        marked = encoding_of(raw)
        if self._detect and marked is UTF_8:
            try:
                marked.decode(raw)
            except BadText:
                return detect(raw) or marked
        return marked

    def _paragraphs(
        self, data: ChunkBytes, found: Iterator[Paragraph | Rest], encoding: Encoding, account: Account
    ) -> Iterator[Decoded]:
        batch = _Rows(self, data, account)
        for item in found:
            if isinstance(item, Rest):
                account.damage(item.offset, item.length, item.reason, item.raw)
            elif item.length > self._options.max_record:
                reason = _too_long(item.length, self._options.max_record)
                account.reject(item.offset, item.length, reason, item.raw)
            else:
                batch.add(item.offset, item.raw, encoding)
            if batch.buffer.full:
                yield batch.buffer.step()
        yield from batch.buffer.rest()

    def _whole_paragraphs(
        self, data: ChunkBytes, stream: Stream | None, account: Account
    ) -> Iterator[Decoded]:
        """Where the encoding is known only from the whole object, or lines cannot be found in its bytes."""
        raw = self._read(data, stream, account)
        if raw is None:
            yield account.step(self.empty())
            return
        encoding = self._encoding(raw)
        if encoding.cuttable:
            inner = BytesChunk(raw, path=data.chunk.object.path)
            yield from self._paragraphs(
                data, paragraphs_of_chunk(inner, self._options.max_record), encoding, account
            )
            return
        yield from self._decoded_paragraphs(data, raw, encoding, account)

    def _decoded_paragraphs(
        self, data: ChunkBytes, raw: bytes, encoding: Encoding, account: Account
    ) -> Iterator[Decoded]:
        """Paragraphs found in the decoded text; offsets are counted by encoding it again."""
        try:
            text = encoding.decode(raw)
        except BadText as bad:
            account.reject(0, len(raw), str(bad), raw)
            yield account.step(self.empty())
            return
        name = encoding.plain(raw)
        mark = len(raw) - len(text.encode(name))
        as_utf8 = text.encode("utf-8")
        batch = _Rows(self, data, account)
        at, offset = 0, mark
        for item in paragraphs_of_chunk(BytesChunk(as_utf8), 2 * len(as_utf8)):
            assert isinstance(item, Paragraph)
            offset += len(as_utf8[at : item.offset].decode("utf-8").encode(name))
            at = item.offset + item.length
            paragraph = item.raw.decode("utf-8")
            length = len(paragraph.encode(name))
            batch.take(offset, length, paragraph, encoding)
            offset += length
            if batch.buffer.full:
                yield batch.buffer.step()
        yield from batch.buffer.rest()


class _Rows:
    """Records of one object on their way into a batch."""

    def __init__(self, decoder: TextDecoder, data: ChunkBytes, account: Account) -> None:
        self._account = account
        self._fields = decoder.fields.for_object(data.chunk.object.path)
        self.buffer = RowBuffer(decoder.settings, decoder.schema, account)

    def add(self, offset: int, raw: bytes, encoding: Encoding) -> bool:
        """Take a record or reject it; False: it is white space only, and neither."""
        try:
            text = encoding.text(raw)
        except BadText as bad:
            self._account.reject(offset, len(raw), str(bad), raw)
            return True
        if text.strip(_BLANK) if isinstance(text, str) else text.strip(_BLANK.encode("ascii")):
            self.take(offset, len(raw), text, encoding)
            return True
        return False

    def take(self, offset: int, length: int, text: str | bytes, encoding: Encoding) -> None:
        record: dict[str, str | bytes] = {"body": text}
        if encoding.name != "utf-8":
            record["encoding"] = encoding.name
        try:
            row = self._fields.row(record, self._account)
        except Drift as drift:
            raw = text if isinstance(text, bytes) else text.encode("utf-8")
            self._account.drift(offset, length, str(drift), raw)
            return
        self.buffer.add(row, offset, length)


def _too_long(length: int, cap: int) -> str:
    return f"a record of {length} bytes, more than max_record of {cap}"
