"""`decode:` of a source: the options every format knows, and the check that names what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from skyhaul_connectors.formats.bytes.zstd_frames import MAX_WINDOW, WINDOW
from skyhaul_connectors.formats.printable import printable
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import Size

Options = TypeVar("Options", bound="FormatOptions")


class FormatOptions(BaseModel):
    """Base of every format's options; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of_schema: ClassVar[Mapping[str, str]] = {}
    """Option -> the one schema that it is for."""

    @classmethod
    def names(cls, schema: str) -> list[str]:
        """The options that there are for `schema`."""
        return [name for name in cls.model_fields if cls.of_schema.get(name, schema) == schema]


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


def parse_options(model: type[Options], name: str, options: Mapping[str, Any]) -> Options:
    """`options` as the format's model. Raises UsageError: which key, what was found, what is allowed."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        found_all = error.errors(include_url=False)
        # Of a value that may be of several kinds, the fault deepest inside is the one that was meant.
        first = max(
            (e for e in found_all if e["loc"][:1] == found_all[0]["loc"][:1]), key=lambda e: len(e["loc"])
        )
        key = ".".join(printable(str(part)) for part in first["loc"]) or "decode"
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(model.model_fields)) or "none"
            raise UsageError(
                f"decode option {key!r} is not one of format {name} (allowed: {allowed})"
            ) from None
        found = printable(repr(first["input"]))
        raise UsageError(f"decode option {key!r} of format {name}: {first['msg']}; found {found}") from None
