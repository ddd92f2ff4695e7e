"""What the bytes of an image say of it, wherever they lie: its type, its size, whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from skyhaul_connectors.formats.media.captioned_file import NotOne
from skyhaul_connectors.formats.media.image_end import is_truncated
from skyhaul_connectors.formats.media.image_orientation import orientation_of
from skyhaul_connectors.formats.media.image_size import size_of
from skyhaul_connectors.formats.media.media_type import HEAD, media_type, media_type_of_whole

Truncated = Literal["keep", "reject"]

MAX_PIXELS = 250_000_000
"""Pixels that an image may state, by default: as RGB they are 750 MB to whoever decodes it. Chosen, not
measured."""

IMAGE_VERSION = "4"
"""Raised whenever the same image is told otherwise; part of the encoder fingerprint."""


class NoImage(NotOne):
    """Bytes that are not taken as an image; the message says why."""


@dataclass(frozen=True, slots=True)
class ImageRules:
    """What is taken as an image."""

    max_pixels: int = MAX_PIXELS
    """Pixels that it may state."""
    truncated: Truncated = "keep"
    """What becomes of one that was cut off: `keep` it, with a mark in its metadata, or `reject` it."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What is told of an image."""

    format: str
    """The media type's subtype (`png`, `jpeg`)."""
    width: int | None
    """In pixels as they are stored, before any orientation; None if the header does not say."""
    height: int | None
    """Likewise."""
    more: dict[str, Any]
    """For the metadata."""


def is_image(raw: bytes, path: str) -> bool:
    """Whether the bytes are an image's by their type, even if it is cut off or too large."""
    return (media_type_of_whole(raw, path) or "").startswith("image/")


def image_facts(raw: bytes, path: str, rules: ImageRules) -> ImageFacts:
    """Look at an image's bytes.

    Args:
        raw: The whole image.
        path: Its name, which tells SVG from other text.
        rules: What is taken.

    Raises:
        NoImage: The bytes are no image, or not one that the rules take.
    """
    kind = media_type_of_whole(raw, path)
    if kind is None or not kind.startswith("image/"):
        raise NoImage(f"no image: its bytes are {kind or 'of no known type'}")
    size = size_of(raw, kind)
    if size is not None and size[0] * size[1] > rules.max_pixels:
        raise NoImage(f"{size[0]} x {size[1]} pixels, more than max_pixels of {rules.max_pixels}")
    more: dict[str, Any] = {}
    orientation = orientation_of(raw, kind)
    if orientation is not None:
        more["orientation"] = orientation
    if is_truncated(raw, kind):
        if rules.truncated == "reject":
            raise NoImage(f"truncated: the {kind.partition('/')[2]} ends before its structure does")
        more["truncated"] = True
    # The columns are int32.
    width, height = size if size is not None and max(size) < 2**31 else (None, None)
    return ImageFacts(_format(kind), width, height, more)


def truncated_format(raw: bytes) -> str | None:
    """The format of an image that was cut off, as `image_facts` names it; None if it is whole."""
    # A row has no name: only text is told by it, and text has no structure that could end early.
    kind = media_type(raw[:HEAD], "")
    return _format(kind) if kind is not None and is_truncated(raw, kind) else None


def _format(kind: str) -> str:
    return kind.partition("/")[2].removeprefix("x-").removesuffix("+xml")
