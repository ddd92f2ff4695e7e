"""`about` of a job file."""

from __future__ import annotations

import re
from datetime import date

from pydantic import Field, field_validator

from skyhaul_schemas.job.fieldtypes import JobPart, Text
from skyhaul_schemas.units import NotAllowed

_SPDX_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


class AboutSpec(JobPart):
    """What the dataset's card and its Croissant description say of it.

    No part of the plan: it may change at any time, and the next `run` writes it anew."""

    title: Text | None = Field(
        examples=["Buoys of the north"],
        default=None,
        description="The dataset's title. Default: the job's name.",
    )
    description: Text | None = Field(
        examples=["What forty buoys measured in 2026."],
        default=None,
        description="What is in it, for people.",
    )
    licence: Text | None = Field(
        examples=["CC-BY-4.0"],
        default=None,
        description="An SPDX identifier (`CC-BY-4.0`) or the URL of the licence's text.",
    )
    homepage: Text | None = Field(
        examples=["https://station.example"], default=None, description="The URL of the dataset's page."
    )
    creator: Text | None = Field(
        examples=["The station"], default=None, description="Who made it: a person or an organisation."
    )
    published: Text | None = Field(
        examples=["2026-11-22"], default=None, description="When it was published: `2026-11-22`."
    )
    citation: Text | None = Field(
        examples=["The station (2026). Buoys of the north."], default=None, description="How it is cited."
    )
    opt_out: Text | None = Field(
        examples=["mail@station.example"],
        default=None,
        description="How people have their data taken out: a URL, an address, or what they have to do.",
    )

    @field_validator("licence")
    @classmethod
    def _spdx(cls, value: str | None) -> str | None:
        """One identifier by SPDX's grammar (specification 2.3, annex D), or a URL.

        Card and Croissant take no others. Whether it is on SPDX's list is not looked up.
        """
        # A `LicenseRef-` is defined in a document that travels with it, and here none does.
        if value is None or "://" in value:
            return value
        if _SPDX_ID.fullmatch(value) is None or value.startswith("LicenseRef-"):
            raise NotAllowed(value, "an SPDX identifier such as CC-BY-4.0, or the URL of the licence's text")
        return value

    @field_validator("published")
    @classmethod
    def _day(cls, value: str | None) -> str | None:
        try:
            return None if value is None else date.fromisoformat(value).isoformat()
        except ValueError:
            # In quotes for other readers of YAML: by its version 1.1 a bare day is a date and no text.
            raise NotAllowed(value, "a day such as 2026-11-22, in quotes") from None
