"""`shards` of a job file."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from skyhaul_schemas.job.fieldtypes import JobPart, Share, Size, SplitName, Text
from skyhaul_schemas.units import NotAllowed

ROW_GROUP_LIMIT = 100 * 1000**2
"""Uncompressed bytes: a reader holds a row group in memory at once. `certify` holds every file to it."""
FILE_LIMIT = 500 * 1000**2
"""Uncompressed bytes: a loader deals whole files to its workers, so that few large ones leave some idle."""
DEFAULT_ZSTD_LEVEL = 3
"""zstd's own."""

COMPRESSIONS = "zstd, zstd:1 to zstd:22, snappy or none"
_CODEC = re.compile(r"(zstd|snappy|none)(?::([0-9]{1,2}))?")


class ShardsSpec(JobPart):
    """Sizes, compression and splits. Sizes in bytes."""

    target_size: Size = Field(
        examples=["256MiB"], default=256 * 1024**2, description="Source bytes in a shard."
    )
    chunk_size: Size = Field(
        examples=["64MiB"],
        default=64 * 1024**2,
        description="Source bytes after which an object is cut, where its format can be cut.",
    )
    row_group_size: Size = Field(
        examples=["64MiB"],
        default=64 * 1024**2,
        description="Uncompressed bytes in a row group; at most 100MB.",
    )
    file_size: Size = Field(
        examples=["500MB"], default=FILE_LIMIT, description="Uncompressed bytes in a file; at most 500MB."
    )
    compression: Text = Field(
        examples=["zstd:3"], default="zstd:3", description="zstd:1 to zstd:22, snappy or none."
    )
    splits: dict[SplitName, Share] = Field(
        examples=[{"train": 0.99, "validation": 0.01}],
        default={"train": 1.0},
        description="Split: its share of the records; the shares add up to 1.",
    )

    @field_validator("target_size", "chunk_size", "row_group_size", "file_size")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise NotAllowed(value, "at least 1 byte")
        return value

    @field_validator("row_group_size")
    @classmethod
    def _row_group(cls, value: int) -> int:
        if value > ROW_GROUP_LIMIT:
            raise NotAllowed(value, "at most 100MB (uncompressed)")
        return value

    @field_validator("file_size")
    @classmethod
    def _file(cls, value: int) -> int:
        if value > FILE_LIMIT:
            raise NotAllowed(value, "at most 500MB (uncompressed)")
        return value

    @field_validator("compression")
    @classmethod
    def _codec(cls, value: str) -> str:
        """Normal form, so that `zstd` and `zstd:3` are the same plan."""
        match = _CODEC.fullmatch(value)
        if match is None or (match[2] is not None and (match[1] != "zstd" or not 1 <= int(match[2]) <= 22)):
            raise NotAllowed(value, COMPRESSIONS)
        return f"zstd:{int(match[2] or DEFAULT_ZSTD_LEVEL)}" if match[1] == "zstd" else match[1]

    @field_validator("splits")
    @classmethod
    def _splits(cls, value: dict[str, float]) -> dict[str, float]:
        # Shares are floats: 0.7 + 0.2 + 0.1 is a little less than 1.
        if not value or abs(sum(value.values()) - 1) > 1e-9 or any(s <= 0 for s in value.values()):
            raise NotAllowed(value, "shares above 0 that add up to 1")
        return value

    @property
    def codec(self) -> tuple[str, int | None]:
        """Compression and its level, as pyarrow's writer takes them."""
        name, _, level = self.compression.partition(":")
        return name, int(level) if level else None
