"""Audio is told by its bytes, its header says how long it is, and transcripts lie beside it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from formats.decoding import Result, decode
from formats.decoding import settings as settings_of
from formats.seeds import GIF, flac, wav
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.records.joining import decode_together
from skyhaul_connectors.formats.registry import decoder_for, format_under
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import Chunk, PinnedObject

# ISO/IEC 11172-3: layer III, 128 kbit/s, 44.1 kHz, stereo; 417 bytes and 1,152 samples a frame. The first one
# holds the count of the others, as encoders write it since Xing's.
_FRAME = bytes.fromhex("fffb9000") + bytes(413)
_XING = _FRAME[:36] + b"Xing" + struct.pack(">II", 1, 383) + _FRAME[48:]
MP3 = _XING + _FRAME * 383
AU = b".snd" + struct.pack(">IIIII", 24, 8, 3, 8000, 1) + bytes(8)


def facts(raw: bytes, path: str = "a.bin") -> tuple[object, ...]:
    (row,) = decode(raw, path, format="audio", schema="audio").rows
    assert row["bytes"] == raw
    return row["format"], row["channels"], row["sample_rate"], row["duration"]


def test_the_header_says_format_channels_sample_rate_and_seconds() -> None:
    assert facts(wav(1.5, 2, 8000)) == ("wav", 2, 8000, 1.5)
    assert facts(wav(0.25, 1, 44100)) == ("wav", 1, 44100, 0.25)
    assert facts(flac(12000, 2, 8000)) == ("flac", 2, 8000, 1.5)
    kind, channels, rate, seconds = facts(MP3)
    assert (kind, channels, rate) == ("mpeg", 2, 44100)
    assert seconds == pytest.approx(383 * 1152 / 44100, rel=0.01)


def test_what_a_header_does_not_say_is_null() -> None:
    assert facts(AU) == ("au", None, None, None)
    assert facts(b"OggS" + bytes(40)) == ("ogg", None, None, None)
    assert facts(flac(0)) == ("flac", 2, 8000, None)  # a stream of unknown length


def test_what_is_no_audio_by_its_bytes_is_rejected_whatever_its_name() -> None:
    assert decode(GIF, "a.wav", schema="audio").reasons == ["no audio: its bytes are image/gif"]
    assert decode(b"text", "a.mp3", schema="audio").reasons == ["no audio: its bytes are text/plain"]
    small = decode(wav(), "a.wav", schema="audio", max_audio=1000)
    assert small.reasons == ["a record of 48044 bytes, more than max_audio of 1000"]


def test_a_transcript_comes_from_a_list(tmp_path: Path) -> None:
    listed = tmp_path / "metadata.jsonl"
    listed.write_text('{"file_name": "a.wav", "transcription": "hello", "text": "other"}\n')
    (row,) = decode(wav(), "a.wav", schema="audio", captions=str(listed)).rows
    assert row["transcript"] == "hello"
    (row,) = decode(wav(), "b.wav", schema="audio", captions=str(listed)).rows
    assert row["transcript"] is None


def together(objects: dict[str, bytes]) -> Result:
    given = settings_of("audio", options={"captions": "beside"})
    members = [
        BytesChunk(raw, Chunk(0, place, PinnedObject("s", path, len(raw), ""), 0, len(raw)))
        for place, (path, raw) in enumerate(objects.items())
    ]
    result = Result()
    for _, step in decode_together(decoder_for("audio", given, ""), members):
        result.rows += step.batch.to_pylist()
        result.rejects += step.rejects
    return result


def test_a_transcript_lies_beside_its_file() -> None:
    found = together({"a.json": b'{"speaker":7}', "a.txt": "grüß dich\n".encode(), "a.wav": wav()})
    (row,) = found.rows
    assert (row["transcript"], row["metadata"]) == ("grüß dich", '{"json":{"speaker":7}}')
    assert together({"b.txt": b"alone"}).reasons == ["beside no audio"]
    given = settings_of("audio", options={"captions": "beside"})
    assert [format_under(given, path) for path in ("a.WAV", "a.txt", "a.bin")] == ["audio", "audio", None]


def test_an_audio_file_has_no_columns() -> None:
    with pytest.raises(UsageError, match="fields: an audio file has no columns to map"):
        decode(wav(), "a.wav", schema="audio", fields={"transcript": "text"})
