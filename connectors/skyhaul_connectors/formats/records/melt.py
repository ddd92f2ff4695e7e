"""Wide tables of sensors to `reading` rows: one for each measured column of each record.

    melt:
      WSPD: {quantity: wind_speed, unit: m/s}
      ATMP: {quantity: air_temperature}
      WVHT: wave_height

Units are kept as given: here, or in the table's row of units. The k-th reading of a record lies at the
record's offset + k (each column takes a byte at least), so that ids differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from skyhaul_connectors.formats.options import FormatOptions


class Measured(BaseModel):
    """What one column measures.

    Attributes:
        quantity: Its name, for the field `quantity`.
        unit: Kept as it is given.
        quality: The column that holds its quality flag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    quantity: str = Field(min_length=1)
    unit: str | None = None
    quality: str | None = None


class MeltOptions(FormatOptions):
    """Measured columns of wide tables.

    melt: measured column -> the quantity's name, or `{quantity: wind_speed, unit: m/s, quality: FLAG}`
    with its unit and the column of its quality flag; for schema `reading`."""

    melt: dict[str, Measured] = Field(default={})

    @field_validator("melt", mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {key: {"quantity": inner} if isinstance(inner, str) else inner for key, inner in value.items()}
