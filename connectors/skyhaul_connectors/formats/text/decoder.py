"""Text objects to `document` records: the whole object, or each paragraph of it.

`encoding` is a label of the WHATWG Encoding Standard, and means what it means to a browser (`latin1` is
windows-1252, `shift_jis` windows-31j, `gb2312` gb18030), or another name that Python knows; without it an
object is UTF-8, or what its byte order mark says (UTF-8, UTF-16, UTF-32). With `unit: object` the mark goes
before what is declared; it is no part of the text. Bytes that the encoding does not allow reject the record;
nothing is replaced. An object whose bytes are no text (a PDF, an image) is a reject whatever is declared. An
empty object gives no record, nor does one of ASCII white space only: with `unit: object` they are counted as
passed over.

`encoding: detect` guesses among the encodings of the web, `encoding: {detect: [shift_jis, euc-jp, utf-8]}`
among those that are named; of equals the first one counts. How sure a guess is stands in `metadata` as
`encoding_confidence`, from 0 to 1; an object whose guess is below `least` (0.4 unless `encoding` says
otherwise: `{detect: [koi8-r, windows-1251], least: 0.7}`) is a reject. `detect: any` in a mapping are those
of the web.

`unit: object` makes one record an object, at most `max_record` bytes long; offset and length are the
object's. `unit: paragraph` makes one record a paragraph, a run of lines that are not blank, line ends inside
it kept; offset and length are those of its bytes without the last line end, at most `max_record`. Plain
objects are cut anywhere where `encoding` declares UTF-8 or another encoding in which a byte below 128 is
always that ASCII character: a paragraph belongs to the chunk in which it begins. Others stay whole: those of
UTF-8 are read in bounded memory, those whose encoding is guessed or of another kind (UTF-16) up to 64 MiB or
`max_record`.

The encoding is stated in `metadata` where it is not UTF-8.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.bytes.compression import is_compressed, open_stream
from skyhaul_connectors.formats.bytes.lines import Rest
from skyhaul_connectors.formats.bytes.stream import PeekedStream, PlainStream, Stream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.bytes.whole_body import read_whole
from skyhaul_connectors.formats.charsets import guessing, whatwg
from skyhaul_connectors.formats.charsets.encodings import (
    UTF_8,
    BadText,
    Encoding,
    encoding_named,
    encoding_of,
    marked_or,
)
from skyhaul_connectors.formats.charsets.guessing import LEAST, guess, usual
from skyhaul_connectors.formats.decoder import (
    Account,
    RowBuffer,
    WholeObject,
    even_cuts,
    utf8_length,
    with_surroundings,
)
from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import Drift, FieldMap
from skyhaul_connectors.formats.text.paragraphs import Paragraph, paragraphs_of_chunk, paragraphs_of_stream
from skyhaul_connectors.formats.web.content_type import binary_type
from skyhaul_schemas.errors import ValueRefused
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import EMPTY_OBJECT, RAW_CAP, body_of

# ASCII's white space alone, so that bytes and the text that they decode to are blank by one rule.
_BLANK = " \t\r\n\x0b\x0c"

_MARK = 4
"""Bytes of the longest byte order mark, that of UTF-32."""

_HELD = 64 * 1024**2
"""Bytes of an object that is held whole for its paragraphs, because its encoding is guessed or has no line
ends of its own. Chosen, not measured: as the default of max_record, which bounds memory in the same way."""

BLANK_OBJECT = "an object of white space only"
"""As a reason of what is passed over."""

COLUMNS = ("body", "encoding", "encoding_confidence", "@path", "@name", "@stem")
"""What `fields` may name: the text, its encoding, how sure that is, and what stands for the object."""


class Detection(FormatOptions):
    """How an encoding is guessed.

    detect: the candidates, of which the first wins a tie. least: the lowest confidence that is taken."""

    detect: Annotated[tuple[str, ...], Field(min_length=1, max_length=40)] | Literal["any"] = "any"
    least: float = Field(default=LEAST, ge=0, le=1)


class TextOptions(StreamOptions):
    """Options of format `text`.

    unit: what a record is. encoding: a label, `detect`, or a mapping of `detect` (labels, or `any`) and
    `least` (the confidence below which a guess is a reject). max_record: bytes of a record at most."""

    unit: Literal["object", "paragraph"] = "object"
    encoding: str | Detection | None = None
    max_record: Size = Field(default=64 * 1024**2, ge=1024)


@dataclass(frozen=True, slots=True)
class Found:
    """The encoding of an object."""

    encoding: Encoding
    confidence: float | None = None
    """Of a guess, from 0 to 1; None of what was declared or marked."""


class TextDecoder(WholeObject):
    """Decoder of text to `document`."""

    def __init__(self, settings: DecodeSettings, options: TextOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        stated = Detection() if options.encoding == "detect" else options.encoding
        self._detect = stated if isinstance(stated, Detection) else None
        self._declared = encoding_named(stated) if stated and not isinstance(stated, Detection) else None
        self._candidates: tuple[Encoding, ...] = ()
        if self._detect is not None:
            named = self._detect.detect
            self._candidates = usual() if named == "any" else tuple(encoding_named(one) for one in named)
            self._check_candidates()
        # Offsets of paragraphs are counted by encoding the text again (`_decoded_paragraphs`), which an
        # encoding with a state, such as ISO-2022-JP, does not answer with the bytes that were there.
        if options.unit == "paragraph" and self._declared is not None and not self._declared.stateless:
            raise _no_paragraphs(self._declared.name)
        has_text = any(field.name == "text" for field in body_of(settings.schema))
        columns = {**({"text": "body"} if has_text else {}), **settings.fields}
        self.fields = FieldMap(DecodeSettings(settings.schema, columns, on_drift=settings.on_drift))
        for field, column in settings.fields.items():
            if column not in COLUMNS:
                allowed = ", ".join(COLUMNS)
                raise ValueRefused(
                    f"fields: {field}: text has no column {column!r} (it has: {allowed})",
                    ("fields", field),
                    column,
                    allowed,
                    tuple(COLUMNS),
                )

    def _check_candidates(self) -> None:
        if self._options.unit == "paragraph":
            # One that the job names is refused; of `any`, those with a state are left out.
            states = [one.name for one in self._candidates if not one.stateless]
            if states and self._detect is not None and self._detect.detect != "any":
                raise _no_paragraphs(states[0])
            self._candidates = tuple(one for one in self._candidates if one.stateless)

    @property
    def fingerprint(self) -> Mapping[str, str]:
        versions = {"pyarrow": pa.__version__, **whatwg.fingerprint()}
        if self._detect is not None:
            versions.update(guessing.fingerprint())
        return versions

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        # A mark is at the object's start, and a guess takes all of it: only where the encoding is declared
        # can a chunk be decoded by itself.
        cuttable = (
            self._options.unit == "paragraph" and self._declared is not None and self._declared.cuttable
        )
        # Last, since it may read from the source.
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
            return
        known = self._declared
        if known is None and self._detect is None:
            # Its mark says the encoding, so that it need not be held whole.
            peeked = PeekedStream(stream or PlainStream(data, 0, data.chunk.object.size), _MARK)
            known, stream = encoding_of(peeked.head), peeked if stream is not None else None
        if known is not None and known.cuttable:
            if stream is None:
                items = paragraphs_of_chunk(data, self._options.max_record)
            else:
                items = paragraphs_of_stream(stream, self._options.max_record)
            yield from self._paragraphs(data, items, Found(known), account)
        else:
            yield from self._whole_paragraphs(data, stream, account)

    def _object(self, data: ChunkBytes, stream: Stream | None, account: Account) -> Iterator[Decoded]:
        raw = self._read(data, stream, account, self._options.max_record, "max_record")
        if raw:
            found = self._found(raw, account)
            # Without one it was rejected, and the batch takes the reject along.
            batch = _Rows(self, data, account, found)
            if found is not None and not batch.add(0, raw):
                account.pass_over(0, BLANK_OBJECT)
            yield from batch.buffer.rest()
            return
        if raw is not None:
            account.pass_over(0, EMPTY_OBJECT)
        yield account.step(self.empty())

    def _read(
        self, data: ChunkBytes, stream: Stream | None, account: Account, cap: int, cap_name: str
    ) -> bytes | None:
        """The whole object, or None after it was rejected: broken, or longer than `cap`."""
        stream = stream if stream is not None else PlainStream(data, 0, data.chunk.object.size)
        return read_whole(stream, cap, cap_name, account)

    def _found(self, raw: bytes, account: Account) -> Found | None:
        """Find the encoding of a whole object; None after it was rejected."""
        # UTF-8 stands for "no mark" here, unless the object begins with UTF-8's own.
        marked = encoding_of(raw)
        if self._declared is not None:
            found = Found(marked_or(self._declared, raw))
        elif self._detect is None or marked is not UTF_8 or raw.startswith(codecs.BOM_UTF8):
            found = Found(marked)
        else:
            guessed = guess(raw, self._candidates)
            if guessed is None:
                account.reject(0, len(raw), f"encoding: none of {self._names()} fits", raw)
                return None
            found = Found(guessed.encoding, guessed.confidence)
            if guessed.confidence < self._detect.least:
                likeliest = f"encoding: the likeliest of {self._names()} is {found.encoding.name}"
                reason = f"at a confidence of {guessed.confidence}, below {self._detect.least}"
                account.reject(0, len(raw), f"{likeliest} {reason}", raw)
                return None
        # Other encodings find characters in any bytes, where UTF-8 refuses those of a PDF by itself. UTF-16
        # and the like, whose text is full of zeros, are not cuttable.
        binary = binary_type(raw) if found.encoding.cuttable and found.encoding.name != "utf-8" else None
        if binary is not None:
            account.reject(0, len(raw), f"no text: the bytes are {binary}", raw)
            return None
        return found

    def _names(self) -> str:
        if self._detect is None or self._detect.detect == "any":
            return "the web's encodings"
        return ", ".join(one.name for one in self._candidates)

    def _paragraphs(
        self, data: ChunkBytes, items: Iterator[Paragraph | Rest], found: Found, account: Account
    ) -> Iterator[Decoded]:
        batch = _Rows(self, data, account, found)
        for item in items:
            if isinstance(item, Rest):
                account.damage(item.offset, item.length, item.reason, item.raw)
            elif item.length > self._options.max_record:
                reason = _too_long(item.length, self._options.max_record)
                account.reject(item.offset, item.length, reason, item.raw)
            else:
                batch.add(item.offset, item.raw)
            if batch.buffer.full:
                yield batch.buffer.step()
        yield from batch.buffer.rest()

    def _whole_paragraphs(
        self, data: ChunkBytes, stream: Stream | None, account: Account
    ) -> Iterator[Decoded]:
        """Where the encoding is known only from the whole object, or lines cannot be found in its bytes."""
        cap = max(self._options.max_record, _HELD)
        raw = self._read(data, stream, account, cap, "what is held to look for paragraphs in its encoding,")
        found = None if raw is None else self._found(raw, account)
        if raw is None or found is None:
            yield account.step(self.empty())
            return
        if found.encoding.cuttable:
            inner = BytesChunk(raw, path=data.chunk.object.path)
            yield from self._paragraphs(
                data, paragraphs_of_chunk(inner, self._options.max_record), found, account
            )
            return
        yield from self._decoded_paragraphs(data, raw, found, account)

    def _decoded_paragraphs(
        self, data: ChunkBytes, raw: bytes, found: Found, account: Account
    ) -> Iterator[Decoded]:
        """Paragraphs found in the decoded text, whose offsets are counted by encoding it again.

        They are looked for in its UTF-8, which the same code reads; what lies between two of them is encoded
        once, so that the whole takes linear time.
        """
        encoding = found.encoding
        try:
            text = encoding.decode(raw)
        except BadText as bad:
            account.reject(0, len(raw), str(bad), raw)
            yield account.step(self.empty())
            return
        name = encoding.plain(raw)
        # Whatever the text does not give back is the byte order mark.
        mark = len(raw) - len(text.encode(name))
        as_utf8 = text.encode("utf-8")
        batch = _Rows(self, data, account, found)
        at, offset = 0, mark
        # A cap that nothing meets: `max_record` has bounded the object itself already.
        for item in paragraphs_of_chunk(BytesChunk(as_utf8), 2 * len(as_utf8)):
            assert isinstance(item, Paragraph)
            offset += len(as_utf8[at : item.offset].decode("utf-8").encode(name))
            at = item.offset + item.length
            paragraph = item.raw.decode("utf-8")
            length = len(paragraph.encode(name))
            if length > self._options.max_record:
                start = paragraph[:RAW_CAP].encode(name)
                account.reject(offset, length, _too_long(length, self._options.max_record), start)
            else:
                batch.take(offset, length, paragraph)
            offset += length
            if batch.buffer.full:
                yield batch.buffer.step()
        yield from batch.buffer.rest()


class _Rows:
    """Records of one object on their way into a batch."""

    def __init__(self, decoder: TextDecoder, data: ChunkBytes, account: Account, found: Found | None) -> None:
        self._account = account
        self._fields = decoder.fields.for_object(data.chunk.object.path)
        self.buffer = RowBuffer(decoder.settings, decoder.schema, account)
        self._encoding = found.encoding if found is not None else UTF_8
        self._stated: dict[str, Any] = {}
        if self._encoding.name != "utf-8":
            self._stated["encoding"] = self._encoding.name
        if found is not None and found.confidence is not None:
            self._stated["encoding_confidence"] = found.confidence

    def add(self, offset: int, raw: bytes) -> bool:
        """Take a record or reject it; False if it is white space only, and so neither."""
        try:
            text = self._encoding.text(raw)
        except BadText as bad:
            self._account.reject(offset, len(raw), str(bad), raw)
            return True
        # UTF-8 stays bytes all the way to Arrow (`Encoding.text`).
        if text.strip(_BLANK) if isinstance(text, str) else text.strip(_BLANK.encode("ascii")):
            self.take(offset, len(raw), text)
            return True
        return False

    def take(self, offset: int, length: int, text: str | bytes) -> None:
        try:
            row = self._fields.row({"body": text, **self._stated}, self._account)
        except Drift as drift:
            raw = text if isinstance(text, bytes) else text.encode("utf-8")
            self._account.drift(offset, length, str(drift), raw)
            return
        self.buffer.add(row, offset, length, utf8_length(text))


def _too_long(length: int, cap: int) -> str:
    return f"a record of {length} bytes, more than max_record of {cap}"


def _no_paragraphs(encoding: str) -> ValueRefused:
    return ValueRefused(
        f"decode option 'unit': paragraphs of {encoding} have no byte offsets; use unit: object",
        ("decode", "unit"),
        "paragraph",
        f"unit: object, since paragraphs of {encoding} have no byte offsets",
    )
