"""Images to `image` records: the bytes as they are, format and size from the header; nothing is decoded.

An object that is no image by its bytes is rejected, as is one that states more pixels than `max_pixels` (a
decompression bomb to whoever decodes it) and one of more than `max_image` bytes. `format` is the media
type's subtype (`png`, `jpeg`). `metadata` says where an end mark is missing, which a whole PNG, JPEG or GIF
has. Captions come from a list (`captions: metadata.jsonl`, see `captions`), with the image in a tar (`x.png`
beside `x.txt`), or from a table's column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import pyarrow as pa
from pydantic import Field

from skyhaul_connectors.formats.captions import Captions
from skyhaul_connectors.formats.compression import open_stream
from skyhaul_connectors.formats.decoder import Account, RowBuffer, WholeObject
from skyhaul_connectors.formats.image_size import size_of
from skyhaul_connectors.formats.json_exact import canonical
from skyhaul_connectors.formats.media_type import HEAD, media_type
from skyhaul_connectors.formats.options import StreamOptions
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, DecodeSettings
from skyhaul_connectors.formats.stream import PlainStream
from skyhaul_connectors.formats.whole_body import read_whole
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job import Size

_ENDS = {"image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9", "image/gif": b";"}
_TAIL = 4096


class ImageOptions(StreamOptions):
    """max_image: bytes of an image at most. max_pixels: pixels that it may state. captions: path or URL of a
    list of captions."""

    max_image: Size = Field(default=64 * 1024**2, ge=64)
    max_pixels: int = Field(default=250_000_000, ge=1)
    captions: str | None = Field(default=None, min_length=1)


class NoImage(ValueError):
    """Bytes that are not taken as an image; the message says why."""


class ImageDecoder(WholeObject):
    """Decoder of image files."""

    def __init__(self, settings: DecodeSettings, options: ImageOptions) -> None:
        super().__init__(settings, options)
        self._options = options
        if settings.fields:
            raise UsageError("fields: an image file has no columns to map")
        self._captions = Captions(options.captions) if options.captions is not None else None

    @property
    def fingerprint(self) -> Mapping[str, str]:
        found = {"puremagic": version("puremagic"), "pyarrow": pa.__version__}
        if self._captions is not None:
            found[f"captions {self._options.captions}"] = self._captions.sha256
        return found

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        account = Account(self.settings, data.chunk)
        buffer = RowBuffer(self.settings, self.schema, account)
        stream = open_stream(data, self._options) or PlainStream(data, 0, data.chunk.object.size)
        raw = read_whole(stream, self._options.max_image, "max_image", account)
        if raw:
            try:
                path = data.chunk.object.path
                caption = None if self._captions is None else self._captions.of(path)
                buffer.add(image_row(raw, path, self._options.max_pixels, caption), 0, len(raw))
            except NoImage as no:
                account.reject(0, len(raw), str(no), raw)
        yield from buffer.rest()


def image_row(
    raw: bytes, path: str, max_pixels: int, caption: str | None = None, more: Mapping[str, Any] | None = None
) -> tuple[Any, ...]:
    """The body of an image's record; `more` goes to its metadata. Raises NoImage."""
    kind = media_type(raw[:HEAD], path)
    if kind is None or not kind.startswith("image/"):
        raise NoImage(f"no image: its bytes are {kind or 'of no known type'}")
    size = size_of(raw, kind)
    if size is not None and size[0] * size[1] > max_pixels:
        raise NoImage(f"{size[0]} x {size[1]} pixels, more than max_pixels of {max_pixels}")
    metadata = dict(more or {})
    end = _ENDS.get(kind)
    if end is not None and end not in raw[-_TAIL:]:
        metadata["truncated"] = True
    width, height = size if size is not None and max(size) < 2**31 else (None, None)
    subtype = kind.partition("/")[2].removeprefix("x-").removesuffix("+xml")
    return raw, subtype, width, height, caption, canonical(metadata) if metadata else None
