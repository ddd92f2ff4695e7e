"""The job file's typed model. `load_job` (in `file.py`) reads YAML into it with line numbers.

Every field has a description: they are the text of the JSON Schema and of docs/job.md. What stands below a
key of the file has a module of its own: `source`, `link`, `shards`, `transforms`, `about`. Names of formats,
presets, transforms and schemes are kept as they are written: the registries that know them refuse others.
Values may come from the environment as text, so numbers and switches are read from text too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import InitErrorDetails

from skyhaul_schemas.job.about import AboutSpec
from skyhaul_schemas.job.fieldtypes import (
    Duration,
    JobPart,
    MaxRejects,
    Name,
    Rate,
    Seed,
    Share,
    Size,
    Text,
    between,
)
from skyhaul_schemas.job.link import ContractSpec, EmulationSpec, LinkSpec, RouteSpec, SharingSpec
from skyhaul_schemas.job.link_terms import Deadline
from skyhaul_schemas.job.own_schema import OwnSchemaSpec, SchemaName, SchemaOf
from skyhaul_schemas.job.shards import ShardsSpec
from skyhaul_schemas.job.source import ListedUrls, SourceSpec
from skyhaul_schemas.job.transforms import TransformRule
from skyhaul_schemas.units import NotAllowed

__all__ = [
    "AboutSpec",
    "ContractSpec",
    "Duration",
    "EmulationSpec",
    "Job",
    "LinkSpec",
    "ListedUrls",
    "OwnSchemaSpec",
    "Rate",
    "RouteSpec",
    "SchemaName",
    "ShardsSpec",
    "Share",
    "SharingSpec",
    "Size",
    "SourceSpec",
]

OnDrift = Annotated[
    Literal["reject", "fail", "null"],
    BeforeValidator(lambda value: "null" if value is None else value),  # as YAML reads a plain null
    WithJsonSchema({"enum": ["reject", "fail", "null", None]}),
]


class Job(JobPart):
    """A job file, version 1. Paths are as written; relative ones start at the working directory."""

    version: Annotated[
        Literal[1], BeforeValidator(between(1, 1)), WithJsonSchema({"const": 1, "type": "integer"})
    ] = Field(examples=[1], description="The job file's version: 1.")
    name: Name = Field(examples=["stdlib-over-leo"], description="The job's name, for reports.")
    dataset: Text = Field(
        examples=["out/stdlib"], repr=False, description="The output folder: a path or an fsspec URL."
    )
    spool: Text = Field(
        examples=[".skyhaul/spool"],
        default=".skyhaul/spool",
        description="A folder on local disk for what is under way.",
    )
    spool_limit: Size = Field(
        examples=["16GiB"], default=16 * 1024**3, description="Bytes that the spool may hold."
    )
    seed: Seed = Field(
        examples=[7], default=0, description="Seeds the dealing of chunks to shards and the splits."
    )
    # `schema` is a method of pydantic's BaseModel.
    schema_: SchemaOf = Field(
        examples=["document"],
        default="document",
        alias="schema",
        description="The dataset's record schema, one for all sources: a built-in one, or a mapping of name "
        "and columns.",
    )
    sources: dict[Name, SourceSpec] = Field(
        examples=[{"buoys": {"url": "https://station.example/buoys/*.jsonl"}}],
        min_length=1,
        description="Name: source.",
    )
    links: dict[Name, LinkSpec] = Field(
        examples=[{"leo-west": {"preset": "leo"}}], default={}, description="Name: link."
    )
    shards: ShardsSpec = Field(
        examples=[{"target_size": "256MiB"}],
        default=ShardsSpec(),
        description="How shards are cut and written.",
    )
    on_damage: Literal["reject", "fail"] = Field(
        examples=["fail"],
        default="reject",
        description="Bad records and unreadable rests of objects: keep them as rejects, or fail the shard.",
    )
    on_drift: OnDrift = Field(
        examples=["reject"],
        default="reject",
        description="Records that do not fit the schema: keep as rejects, fail the shard, or (`null`) keep "
        "them with null in each field whose value does not fit, counted by field and reason; a field that "
        "the schema requires still makes a reject.",
    )
    max_rejects: MaxRejects | None = Field(
        examples=[{"share": "5%", "count": 1000}],
        default=None,
        description="Records that a shard may reject, damage included: a share of those read (`5%`), a count "
        "(`1000`), or `{share: 5%, count: 1000}`. A shard above it fails (TooManyRejects): on a share from "
        "1,000 records on, and at its end. After three such shards of a source one after the other the rest "
        "of it fails unfetched. Default: no limit.",
    )
    transforms: list[TransformRule] = Field(
        examples=[[{"keep": "length(text) >= 200"}]],
        default=[],
        description="Rules between decoding and writing, in their order: what each takes out is counted.",
    )
    about: AboutSpec = Field(
        examples=[{"licence": "CC-BY-4.0"}],
        default=AboutSpec(),
        description="Licence, description, opt-out: for the dataset's card.",
    )
    patience: Duration = Field(
        examples=["10m"],
        default=600.0,
        description="How long a silent source is tried before its shards are put off: `10m`.",
    )

    ledger: Text | None = Field(
        examples=["links.sqlite"],
        default=None,
        description="The file that counts the bytes of links with a cap or a price, on local disk. Default: "
        "`$XDG_STATE_HOME/skyhaul/links.sqlite` (or below `~/.local/state`), one for all jobs of a user.",
    )
    deadline: Deadline | None = Field(
        examples=["6h"],
        default=None,
        description="When the haul should be done: a time (`2026-11-23T06:00Z`) or a duration from the start "
        "of each run (`6h`). Links with the role `overflow` are used while it would be missed.",
    )

    @model_validator(mode="after")
    def _refer(self) -> Job:
        errors = [
            InitErrorDetails(type="value_error", loc=where, input=error.found, ctx={"error": error})
            for where, error in _dangling(self)
        ]
        if errors:
            # Raised as a ValidationError, so that each error keeps its own place in the file.
            raise ValidationError.from_exception_data(type(self).__name__, errors, hide_input=True)
        return self


def _dangling(job: Job) -> Iterator[tuple[tuple[str | int, ...], NotAllowed]]:
    """References that lead nowhere, with their places in the job file."""
    # Looked at once both mappings are read: a field's validator sees its own value alone.
    known = ", ".join(sorted(job.links)) or "no links are defined; add one under `links`"
    for name, source in job.sources.items():
        for index, link in enumerate(source.via):
            if link not in job.links:
                yield ("sources", name, "via", index), NotAllowed(link, f"the name of a link: {known}")
    sources = ", ".join(sorted(job.sources))
    for name, spec in job.links.items():
        for target in spec.base_url if isinstance(spec.base_url, dict) else ():
            if target not in job.sources:
                yield ("links", name, "base_url", target), NotAllowed(target, f"a source: {sources}")
