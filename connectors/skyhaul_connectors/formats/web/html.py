"""HTML objects to `document` records: one page, one record.

Columns: body (the text), title, language (as the page states it), encoding, and `@path` and its like. By
default `text` takes the body and `language` the page's; title and encoding go to `metadata`.

The encoding is what a byte order mark says, else `encoding`, else the page's first `<meta>` or XML
declaration, else what the bytes look like; labels are those of the WHATWG Encoding Standard. An object whose
bytes are no text (a PDF, an image) is a reject.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.bytes.compression import open_stream
from skyhaul_connectors.formats.bytes.stream import PlainStream
from skyhaul_connectors.formats.bytes.stream_options import StreamOptions
from skyhaul_connectors.formats.bytes.whole_body import read_whole
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.records.fields import Drift, FieldMap
from skyhaul_connectors.formats.web import html_extraction, html_text
from skyhaul_connectors.formats.web.content_type import binary_type
from skyhaul_connectors.formats.web.html_text import BadPage
from skyhaul_schemas.job.model import Size
from skyhaul_schemas.records import EMPTY_OBJECT, body_of


class HtmlOptions(StreamOptions):
    """Options of format `html`.

    extract: the page's main content, or all its text. encoding: a label, where it is known from outside.
    max_page: bytes of a page at most."""

    extract: Literal["main", "all"] = "main"
    encoding: str | None = None
    max_page: Size = Field(default=2 * 1024**2, ge=1024)


class HtmlDecoder(WholeObject):
    """Decoder of HTML pages."""

    def __init__(self, settings: DecodeSettings, options: HtmlOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        self._charset = None if options.encoding is None else html_text.charset_named(options.encoding)
        # Only `on_drift` is the field map's to know; what bytes are bad is judged here.
        has_text = any(field.name == "text" for field in body_of(settings.schema))
        named = {**({"text": "body"} if has_text else {}), **settings.fields}
        self._fields = FieldMap(DecodeSettings(settings.schema, named, on_drift=settings.on_drift))

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {"pyarrow": pa.__version__, **html_text.fingerprint()}

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        stream = open_stream(data, self._options) or PlainStream(data, 0, data.chunk.object.size)
        raw = read_whole(stream, self._options.max_page, "max_page", account)
        if raw is not None and not raw:
            account.pass_over(0, EMPTY_OBJECT)
        elif raw:
            try:
                # UTF-16 is full of zeros, so that control characters tell nothing there.
                binary = None if (self._charset or "").startswith("utf-16") else binary_type(raw)
                if binary is not None:
                    raise BadPage(f"no text: the bytes are {binary}")
                row = self._fields.for_object(data.chunk.object.path).row(self._page(raw), account)
                buffer.add(row, 0, len(raw))
            except BadPage as bad:
                account.reject(0, len(raw), str(bad), raw)
            except Drift as drift:
                account.drift(0, len(raw), str(drift), raw)
        yield from buffer.rest()

    def _page(self, raw: bytes) -> dict[str, Any]:
        page = html_extraction.extract(
            raw, charset=self._charset, main_content=self._options.extract == "main"
        )
        record = {"body": page.text, "language": page.language, "title": page.title}
        # Not said of UTF-8, or nearly every row's metadata would have it.
        record["encoding"] = None if page.encoding == "utf-8" else page.encoding
        return {name: value for name, value in record.items() if value is not None}
