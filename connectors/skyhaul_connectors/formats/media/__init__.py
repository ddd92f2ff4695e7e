"""Images and audio, their captions and side-cars, and objects taken as they are."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _image() -> Implementation:
    from skyhaul_connectors.formats.media.image import ImageDecoder, ImageOptions

    return Implementation(ImageOptions, ImageDecoder)


def _audio() -> Implementation:
    from skyhaul_connectors.formats.media.audio import AudioDecoder, AudioOptions

    return Implementation(AudioOptions, AudioDecoder)


def _binary() -> Implementation:
    from skyhaul_connectors.formats.media.binary import BinaryDecoder
    from skyhaul_connectors.formats.options import FormatOptions

    return Implementation(FormatOptions, BinaryDecoder)


IMAGE = Format(
    name="image",
    about="an image, its size and type from its header",
    schemas=("image",),
    suffixes=(
        ".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".heic",
    ),
    load=_image,
)  # fmt: skip

AUDIO = Format(
    name="audio",
    about="an audio file, its length and channels from its header",
    schemas=("audio",),
    suffixes=(
        ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aif", ".aiff", ".aifc", ".wma", ".au",
        ".caf",
    ),
    load=_audio,
)  # fmt: skip

BINARY = Format(
    name="binary",
    about="any object as it is",
    schemas=("blob",),
    suffixes=(),
    load=_binary,
)
