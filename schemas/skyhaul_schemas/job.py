"""The job file's typed model. `load_job` (in `jobfile.py`) reads YAML into it with line numbers."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from skyhaul_schemas.units import parse_duration, parse_rate, parse_share, parse_size

Size = Annotated[int, BeforeValidator(parse_size)]
Rate = Annotated[float, BeforeValidator(parse_rate)]
Duration = Annotated[float, BeforeValidator(parse_duration)]
Share = Annotated[float, BeforeValidator(parse_share)]

SchemaName = Literal["document", "reading", "image", "blob"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class ListedUrls(_Model):
    """`url: {list: objects.jsonl}`: a JSONL or CSV list of objects with url, optional path, size, sha256."""

    list: str


class SourceSpec(_Model):
    """One source: objects in a remote region, and how they are read."""

    url: Annotated[list[str], BeforeValidator(_as_list)] | ListedUrls
    format: str | None = None
    fields: dict[str, str] = {}
    checksums: str | None = None
    max_connections: int = Field(default=16, ge=1, le=1024)
    options: dict[str, Any] = {}
    decode: dict[str, Any] = {}
    via: Annotated[list[str], BeforeValidator(_as_list)] = []


class LinkSpec(_Model):
    """One link; every field beside `preset` overrides the preset's. Rates in bit/s, times in seconds."""

    preset: str | None = None
    emulate: bool = False
    down: Rate | None = None
    up: Rate | None = None
    rtt: Duration | None = None
    jitter: Duration | None = None
    loss: Share | None = None
    burst: float | None = Field(default=None, ge=1)
    handover_every: Duration | None = None
    handover_gap: Duration | None = None
    outages: list[tuple[Duration, Duration]] | None = None
    contacts: str | None = None
    trace: str | None = None
    seed: int = 0

    @field_validator("outages", mode="before")
    @classmethod
    def _outages(cls, value: Any) -> Any:
        """`["20s+5s"]`: an outage that starts 20 s after the start and lasts 5 s."""
        if isinstance(value, list):
            return [tuple(v.split("+", 1)) if isinstance(v, str) and "+" in v else v for v in value]
        return value


class ShardsSpec(_Model):
    target_size: Size = 256 * 1024**2
    chunk_size: Size = 64 * 1024**2
    row_group_size: Size = 64 * 1024**2
    file_size: Size = 500 * 1000**2
    compression: str = "zstd:3"
    splits: dict[str, float] = {"train": 1.0}

    @field_validator("target_size", "chunk_size", "row_group_size", "file_size")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("must be at least 1 byte")
        return value

    @field_validator("row_group_size")
    @classmethod
    def _row_group(cls, value: int) -> int:
        if value > 100 * 1000**2:
            raise ValueError("row groups are bounded at 100MB uncompressed")
        return value

    @field_validator("file_size")
    @classmethod
    def _file(cls, value: int) -> int:
        if value > 500 * 1000**2:
            raise ValueError("files are bounded at 500MB uncompressed")
        return value

    @field_validator("compression")
    @classmethod
    def _codec(cls, value: str) -> str:
        codec, _, level = value.partition(":")
        if codec not in ("zstd", "snappy", "none") or (level and not (codec == "zstd" and level.isdigit())):
            raise ValueError(f"{value!r} is no compression; write zstd, zstd:1 to zstd:22, snappy or none")
        if level and not 1 <= int(level) <= 22:
            raise ValueError(f"zstd level {level} is not within 1 and 22")
        return value

    @field_validator("splits")
    @classmethod
    def _splits(cls, value: dict[str, float]) -> dict[str, float]:
        if not value or abs(sum(value.values()) - 1) > 1e-9 or any(s <= 0 for s in value.values()):
            raise ValueError("shares must be above 0 and add up to 1")
        for name in value:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
                raise ValueError(f"split {name!r}: write lower-case letters, digits and _")
        return value


class Job(_Model):
    """A job file, version 1. Paths are as written; relative ones start at the working directory."""

    version: Literal[1]
    name: str
    dataset: str
    spool: str = ".skyhaul/spool"
    spool_limit: Size = 16 * 1024**3
    seed: int = Field(default=0, ge=0)
    schema_: SchemaName = Field(default="document", alias="schema")
    sources: dict[str, SourceSpec] = Field(min_length=1)
    links: dict[str, LinkSpec] = {}
    shards: ShardsSpec = ShardsSpec()
    on_damage: Literal["reject", "fail"] = "reject"
    on_drift: Literal["reject", "fail"] = "reject"
    patience: Duration = 600.0

    @model_validator(mode="after")
    def _refer(self) -> Job:
        for kind, names in (("source", self.sources), ("link", self.links)):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(f"{kind} name {name!r}: write letters, digits, '.', '_' and '-'")
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name {self.name!r}: write letters, digits, '.', '_' and '-'")
        return self
