"""Audio files to `audio` records: the bytes as they are, with what their header says; nothing is decoded.

`format` is the media type's subtype by the file's first bytes (`wav`, `mpeg`, `flac`, `ogg`); channels,
sample rate and duration (seconds) are those that the header states, and null where it states none or is of a
kind that is not read (AU, CAF). An object that is no audio by its bytes is rejected, as is one of more than
`max_audio` bytes. Transcripts come as captions of images do: from a list (`captions: metadata.jsonl`), or
from a `.txt`, `.caption` or `.text` beside the file (`captions: beside`); a `.json` beside it is in
`metadata`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from skyhaul_connectors.formats.media.audio_facts import audio_facts, fingerprint, is_audio
from skyhaul_connectors.formats.media.captioned_file import CaptionedFile, CaptionOptions
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.records.json_exact import canonical
from skyhaul_schemas.job.model import Size


class AudioOptions(CaptionOptions):
    """Options of format `audio`.

    max_audio: bytes of a file at most."""

    max_audio: Size = Field(default=64 * 1024**2, ge=64)


class AudioDecoder(CaptionedFile):
    """Decoder of audio files."""

    what = "audio"
    cap = "max_audio"

    def __init__(self, settings: DecodeSettings, options: AudioOptions) -> None:
        super().__init__(settings, options, options.max_audio)

    @property
    def facts_fingerprint(self) -> Mapping[str, str]:
        return fingerprint()

    def is_one(self, raw: bytes, path: str) -> bool:
        return is_audio(raw, path)

    def row(self, raw: bytes, path: str, caption: str | None, more: Mapping[str, Any]) -> tuple[Any, ...]:
        facts = audio_facts(raw, path)
        metadata = canonical(dict(more)) if more else None
        return raw, facts.format, facts.channels, facts.sample_rate, facts.duration, caption, metadata
