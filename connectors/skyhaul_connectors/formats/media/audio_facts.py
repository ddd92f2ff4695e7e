"""What the header of an audio file says of it, by tinytag; nothing is decoded."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from skyhaul_connectors.formats.media.captioned_file import NotOne
from skyhaul_connectors.formats.media.media_type import media_type_of_whole

AUDIO_VERSION = "1"
"""Raised whenever the same file is told otherwise; part of the encoder fingerprint."""

_LARGEST = 2**31 - 1
"""The columns are int32."""


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What is told of an audio file; None where its header does not say.

    Attributes:
        format: The media type's subtype (`wav`, `mpeg`).
        channels: How many.
        sample_rate: Samples a second of each.
        duration: Seconds.
    """

    format: str
    channels: int | None = None
    sample_rate: int | None = None
    duration: float | None = None


def fingerprint() -> Mapping[str, str]:
    """Versions of what tells the facts."""
    return {"tinytag": version("tinytag"), "skyhaul.audio": AUDIO_VERSION}


def is_audio(raw: bytes, path: str) -> bool:
    """Whether the bytes are an audio file's by their type."""
    return (media_type_of_whole(raw, path) or "").startswith("audio/")


def audio_facts(raw: bytes, path: str) -> AudioFacts:
    """Look at an audio file's bytes. Raises NotOne."""
    from tinytag import TinyTag, TinyTagException

    kind = media_type_of_whole(raw, path)
    if kind is None or not kind.startswith("audio/"):
        raise NotOne(f"no audio: its bytes are {kind or 'of no known type'}")
    format = kind.partition("/")[2].removeprefix("x-")
    try:
        # Told by its bytes alone: of a name it would believe the suffix.
        found = TinyTag.get(file_obj=io.BytesIO(raw), tags=False)
    # A header that it cannot read, and types that it does not know (AU, CAF), say nothing.
    except TinyTagException:
        return AudioFacts(format)
    return AudioFacts(format, _whole(found.channels), _whole(found.samplerate), _seconds(found.duration))


def _whole(value: float | None) -> int | None:
    return int(value) if value is not None and 0 < value <= _LARGEST else None


def _seconds(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) and value > 0 else None
