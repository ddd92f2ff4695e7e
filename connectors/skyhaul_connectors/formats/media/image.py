"""Images to `image` records: the bytes as they are, format and size from the header; nothing is decoded.

An object that is no image by its bytes is rejected, as is one that states more pixels than `max_pixels` (a
decompression bomb to whoever decodes it) and one of more than `max_image` bytes. `format` is the media
type's subtype (`png`, `jpeg`). `metadata` says `"truncated": true` of an image that was cut off, by its
structure (what is padded behind its end is whole; `truncated_by` in the commit record counts them by format),
and `orientation`, 1 to 8, where its EXIF data has one; width and height are those of the pixels as they are
stored. Captions come from a list (`captions: metadata.jsonl`, see `captions`), with the image in a tar
(`x.png` beside `x.txt`), from a table's column, or from objects of the source (`captions: beside`).

With `captions: beside`, objects that share a name but for its suffix are a group: the text of a `.txt`,
`.caption` or `.text` is the caption of its images, a `.json` is in their `metadata`. A side-car that cannot
be read is a reject of its own, and the images go without it; so is a side-car beside no image. Its text is
decoded as that of format `text` is: `encoding`, or its byte order mark, or UTF-8. What macOS leaves beside
files (`._x`, `__MACOSX/`), and an object whose name begins with a dot and that is no image, is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from skyhaul_connectors.formats.media.captioned_file import CaptionedFile, CaptionOptions
from skyhaul_connectors.formats.media.image_facts import (
    IMAGE_VERSION,
    MAX_PIXELS,
    ImageRules,
    Truncated,
    image_facts,
    is_image,
)
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.records.json_exact import canonical
from skyhaul_schemas.job.model import Size


class ImageOptions(CaptionOptions):
    """Options of format `image`.

    max_image: bytes of an image at most. max_pixels: pixels that it may state. truncated: `keep` an image
    that was cut off, with a mark in its metadata, or `reject` it."""

    max_image: Size = Field(default=64 * 1024**2, ge=64)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    truncated: Truncated = "keep"


class ImageDecoder(CaptionedFile):
    """Decoder of image files."""

    what = "image"
    cap = "max_image"

    def __init__(self, settings: DecodeSettings, options: ImageOptions) -> None:
        super().__init__(settings, options, options.max_image)
        self._rules = ImageRules(options.max_pixels, options.truncated)

    @property
    def facts_fingerprint(self) -> Mapping[str, str]:
        return {"skyhaul.image": IMAGE_VERSION}

    def is_one(self, raw: bytes, path: str) -> bool:
        return is_image(raw, path)

    def row(self, raw: bytes, path: str, caption: str | None, more: Mapping[str, Any]) -> tuple[Any, ...]:
        return image_row(raw, path, self._rules, caption, more)


def image_row(
    raw: bytes,
    path: str,
    rules: ImageRules,
    caption: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> tuple[Any, ...]:
    """The body of an image's record; `more` goes to its metadata. Raises NoImage."""
    facts = image_facts(raw, path, rules)
    metadata = {**(more or {}), **facts.more}
    return (
        raw,
        facts.format,
        facts.width,
        facts.height,
        caption,
        canonical(metadata) if metadata else None,
    )
