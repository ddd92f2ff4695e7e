"""`sources` of a job file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema

from skyhaul_schemas.job.fieldtypes import Connections, JobPart, Kind, MaxRejects, Rate, Text, Texts
from skyhaul_schemas.job.transforms import TransformRule
from skyhaul_schemas.units import NotAllowed

URLS = "a path or URL, a list of them, or {list: objects.jsonl}, with a root if need be"


class ListedUrls(JobPart):
    """`url: {list: objects.jsonl}`: a JSONL or CSV list of objects with url, optional path, size, sha256.

    With a `root`, what counts is each line's path below it, and a line needs no url.
    """

    list: Text = Field(
        examples=["objects.jsonl"],
        description="Path or URL of a JSONL or CSV list: `url`, optionally `path`, `size`, `sha256`; in JSONL"
        " also digests by block, as `skyhaul index` writes them.",
    )
    root: Text | None = Field(
        examples=["https://station.example/buoys"],
        default=None,
        description="Path or URL that the list's paths are below; as `skyhaul index` writes.",
    )


def _url(value: Any) -> list[str] | ListedUrls:
    # Told apart by hand: pydantic's union would list the errors of each form, none of which is the user's.
    if isinstance(value, ListedUrls):
        return value
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list) and value and all(isinstance(u, str) and u.strip() for u in value):
        return list(value)
    if (
        isinstance(value, dict)
        and {"list"} <= set(value) <= {"list", "root"}
        and all(isinstance(text, str) and text for text in value.values())
    ):
        return ListedUrls(**value)
    raise NotAllowed(value, URLS)


Urls = Annotated[
    list[str] | ListedUrls,
    PlainValidator(_url),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {
                    "type": "object",
                    "properties": {"list": {"type": "string"}, "root": {"type": "string"}},
                    "required": ["list"],
                    "additionalProperties": False,
                },
            ]
        }
    ),
    Kind("a path or URL, a list of them, or a mapping"),
]


class SourceSpec(JobPart):
    """One source: objects in a remote region, and how they are read."""

    url: Urls = Field(
        examples=["https://station.example/buoys/*.jsonl"],
        repr=False,
        description="Path or URL with globs (`*`, `**`), a list of them, or `{list: objects.jsonl}`. "
        "What stands before the first glob is the root; paths below it name the objects. For rehearsals: "
        "`synthetic://NAME?count=1000&size=4kB&seed=7`, objects that exist by a rule.",
    )
    format: Text | None = Field(
        examples=["jsonl"],
        default=None,
        description="A format by name (docs/formats.md). Default: by each object's suffix.",
    )
    fields: dict[str, Text] = Field(
        examples=[{"text": "body"}],
        default={},
        description="Schema field: the source's column. What is not mapped goes to `metadata`.",
    )
    checksums: Text | None = Field(
        examples=["SHA256SUMS"],
        default=None,
        description="A list of digests as sha256sum writes it, below the source's root or a path or URL.",
    )
    max_connections: Connections = Field(
        examples=[32],
        default=16,
        description="Connections to the source at once. Raise it for servers of your own.",
    )
    options: dict[str, Any] = Field(
        examples=[{"headers": {"User-Agent": "skyhaul"}}],
        default={},
        repr=False,  # credentials
        description="Options for the filesystem or the HTTP client, with credentials.",
    )
    decode: dict[str, Any] = Field(
        examples=[{"compression": "gzip"}],
        default={},
        description="Options of the format, such as `captions: beside` of images.",
    )
    min_rate: Rate = Field(
        examples=["1kB/s"],
        default=8000.0,
        description="A source that brings less, all its connections together, as a mean over the job's"
        " `patience`, counts as silent: its shards are put off. Default: `1kB/s`. Time in which its links are"
        " closed or down, or a pace or cap holds it back, does not count. No part of the plan.",
    )
    via: Texts = Field(
        examples=[["leo-west"]], default=[], description="Links, best first. None: the plain network."
    )
    max_rejects: MaxRejects | None = Field(
        examples=["5%"],
        default=None,
        description="As the job's, for this source: `5%`, `1000`, or both as a mapping.",
    )
    transforms: list[TransformRule] = Field(
        examples=[[{"min_length": 200}]],
        default=[],
        description="Rules for this source's records, before those of the job.",
    )
