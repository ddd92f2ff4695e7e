"""`decode:` of formats whose objects may be compressed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from skyhaul_connectors.formats.bytes.zstd_frames import MAX_WINDOW, WINDOW
from skyhaul_connectors.formats.options import FormatOptions
from skyhaul_schemas.job.model import Size


class StreamOptions(FormatOptions):
    """Options of formats that may lie in a compressed stream.

    compression: `auto` goes by the name's suffix and the first bytes. max_output and max_ratio: where a
    decompression bomb is given up (the rest of the object is damage); the ratio counts from the first
    64 MiB of output on, so that small, very regular objects pass. zstd_window: bytes of memory that a zstd
    frame may ask for, up to 2GiB (`zstd --long=31`); each object that is decoded at a time may take so much.
    """

    compression: Literal["auto", "none", "gzip", "zstd", "bzip2", "xz", "lz4"] = "auto"
    max_output: Size = 256 * 1024**3
    max_ratio: float = Field(default=250, ge=1)
    zstd_window: Size = Field(default=WINDOW, ge=1024, le=MAX_WINDOW)
