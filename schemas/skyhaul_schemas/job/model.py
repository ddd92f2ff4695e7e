"""The job file's typed model. `load_job` (in `jobfile.py`) reads YAML into it with line numbers.

Every field has a description: they are the text of the JSON Schema and of the README's reference.
Values may come from the environment as text, so numbers and switches are read from text too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from skyhaul_schemas.job.fieldtypes import (
    BaseUrls,
    Bind,
    Burst,
    Connections,
    Duration,
    MaxRejects,
    Name,
    Outage,
    ProxyUrl,
    Rate,
    Seed,
    Share,
    SharedBy,
    Size,
    SplitName,
    Switch,
    Text,
    Texts,
    between,
)
from skyhaul_schemas.job.link_terms import (
    CapPerCycle,
    CycleStart,
    Deadline,
    ManyHours,
    PricePerGB,
    RatesByHour,
    Role,
    ZoneName,
)
from skyhaul_schemas.job.transforms import TransformSpec
from skyhaul_schemas.units import NotAllowed

__all__ = [
    "Duration",
    "Job",
    "LinkSpec",
    "ListedUrls",
    "Rate",
    "SchemaName",
    "ShardsSpec",
    "Share",
    "Size",
    "SourceSpec",
]

SchemaName = Literal["document", "reading", "image", "blob"]

ROW_GROUP_LIMIT = 100 * 1000**2
FILE_LIMIT = 500 * 1000**2
DEFAULT_ZSTD_LEVEL = 3

URLS = "a path or URL, a list of them, or {list: objects.jsonl}, with a root if need be"
COMPRESSIONS = "zstd, zstd:1 to zstd:22, snappy or none"
_SPDX_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_CODEC = re.compile(r"(zstd|snappy|none)(?::([0-9]{1,2}))?")


class _Model(BaseModel):
    # Inputs may be secrets: pydantic's own messages must not show them.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ListedUrls(_Model):
    """`url: {list: objects.jsonl}`: a JSONL or CSV list of objects with url, optional path, size, sha256.
    With a `root`, what counts is each line's path below it, and a line needs no url."""

    list: Text = Field(
        description="Path or URL of a JSONL or CSV list: `url`, optionally `path`, `size`, `sha256`; in JSONL"
        " also digests by block, as `skyhaul index` writes them."
    )
    root: Text | None = Field(
        default=None, description="Path or URL that the list's paths are below; as `skyhaul index` writes."
    )


def _url(value: Any) -> list[str] | ListedUrls:
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
]


class SourceSpec(_Model):
    """One source: objects in a remote region, and how they are read."""

    url: Urls = Field(
        repr=False,
        description="Path or URL with globs (`*`, `**`), a list of them, or `{list: objects.jsonl}`. "
        "What stands before the first glob is the root; paths below it name the objects. For rehearsals: "
        "`synthetic://NAME?count=1000&size=4kB&seed=7`, objects that exist by a rule.",
    )
    format: Text | None = Field(
        default=None,
        description="text, jsonl, csv, parquet, warc or binary. Default: by each object's suffix.",
    )
    fields: dict[str, Text] = Field(
        default={}, description="Schema field: the source's column. What is not mapped goes to `metadata`."
    )
    checksums: Text | None = Field(
        default=None,
        description="A list of digests as sha256sum writes it, below the source's root or a path or URL.",
    )
    max_connections: Connections = Field(
        default=16, description="Connections to the source at once. Raise it for servers of your own."
    )
    options: dict[str, Any] = Field(
        default={}, repr=False, description="Options for the filesystem or the HTTP client, with credentials."
    )
    decode: dict[str, Any] = Field(
        default={}, description="Options of the format, such as `captions: beside` of images."
    )
    min_rate: Rate = Field(
        default=8000.0,
        description="A source that brings less, all its connections together, as a mean over the job's"
        " `patience`, counts as silent: its shards are put off. Default: `1kB/s`. Time in which its links are"
        " closed or down, or a pace or cap holds it back, does not count. No part of the plan.",
    )
    via: Texts = Field(default=[], description="Links, best first. None: the plain network.")
    max_rejects: MaxRejects | None = Field(
        default=None, description="As the job's, for this source: `5%`, `1000`, or both as a mapping."
    )
    transforms: list[TransformSpec] = Field(
        default=[], description="Rules for this source's records, before those of the job."
    )


class LinkSpec(_Model):
    """One link; every field beside `preset` overrides the preset's. Rates in bit/s, times in seconds."""

    preset: Text | None = Field(
        default=None, description="fibre, leo, leo-remote, leo-mobile, meo, geo or cellular."
    )
    emulate: Switch = Field(
        default=False,
        description="true: rehearse, with rate, delay, loss and outages imposed on this machine's network. "
        "false: a real link; only pace to `down` and obey `contacts`.",
    )
    down: Rate | None = Field(default=None, description="Rate towards us: `130Mbit/s`.")
    up: Rate | None = Field(default=None, description="Rate from us: `14Mbit/s`.")
    rtt: Duration | None = Field(default=None, description="Round trip: `45ms`.")
    jitter: Duration | None = Field(default=None, description="Spread of the round trip: `8ms`.")
    loss: Share | None = Field(default=None, description="Share of packets lost: `0.4%`.")
    loss_up: Share | None = Field(default=None, description="The same from us; by default as `loss`.")
    burst: Burst | None = Field(
        default=None, description="Mean length of a burst of losses in packets; 1: losses are independent."
    )
    handover_every: Duration | None = Field(default=None, description="Period of handovers: `15s`.")
    handover_gap: Duration | None = Field(default=None, description="Silence at a handover: `120ms`.")
    handover_spike: Duration | None = Field(
        default=None, description="How much longer the round trip takes for a second after a handover."
    )
    outages: list[Outage] | None = Field(
        default=None,
        description="Times without the link, from the start: `[20s+5s]` lasts from 20 s to 25 s.",
    )
    contacts: Text | None = Field(
        default=None,
        description="A contact plan: CSV of start, end, rate, or an HDTN contactPlan.json. "
        "The link is closed outside of its windows.",
    )
    trace: Text | None = Field(default=None, description="A rate trace in mahimahi's format.")
    delay_trace: Text | None = Field(
        default=None, description="A trace of one-way delay: milliseconds, one line each 10 ms (LeoCC)."
    )
    sender: Literal["paced", "cubic"] | None = Field(
        default=None,
        description="How servers send, when emulated. `paced`: at the link's rate, whatever is lost (BBR). "
        "`cubic`: with a window a connection that losses halve, so that only many connections fill the link.",
    )
    seed: Seed = Field(default=0, description="Seed of what the emulation draws by chance.")
    shared: SharedBy | None = Field(
        default=None,
        repr=False,
        description="Several workers may haul over the link at once and divide `down` among them: `store` by "
        "leases in the dataset's store, `redis://…` by a token bucket in Redis (credentials only as "
        "`redis://:${PASSWORD}@…`). Default: one worker has the link to itself.",
    )
    bind: Bind | None = Field(
        default=None,
        description="How the link is reached: the source address (`192.0.2.7`) or the network interface "
        "(`wwan0`; needs CAP_NET_RAW) that connections leave by.",
    )
    proxy: ProxyUrl | None = Field(
        default=None,
        repr=False,
        description="How the link is reached: an HTTP proxy that takes CONNECT (`http://10.0.0.1:3128`) or a "
        "SOCKS5 proxy (`socks5://…`). Credentials only as `socks5://${USER}:${PASSWORD}@…`.",
    )
    base_url: BaseUrls | None = Field(
        default=None,
        repr=False,
        description="How the link is reached: where the same objects lie for those who come this way, in the "
        "place of the source's root; for several sources a mapping of source to URL.",
    )
    role: Role = Field(
        default="primary",
        description="`primary`: used whenever it is open. `overflow`: while the forecast misses the job's "
        "`deadline` without it. `last-resort`: while all other links of the source are down or closed.",
    )
    price: PricePerGB | None = Field(default=None, description="Price of 10^9 bytes: `0.25 USD/GB`.")
    included: Size = Field(default=0, description="Bytes of a cycle before the price counts: `1TB`.")
    cap: CapPerCycle | None = Field(
        default=None,
        description="Bytes a cycle after which the link is closed until the next: `1TB/month`, `50GB/week`, "
        "`2GB/day`, `100GB/30d`. Counted over all hauls of this machine, in the job's `ledger`.",
    )
    cycle_start: CycleStart | None = Field(
        default=None,
        description="When cycles begin: a day of the month (`15`; the 31st is the last day of a shorter "
        "month), or a date, for weeks and numbers of days. Default: the 1st, a Monday.",
    )
    free: ManyHours = Field(
        default=(),
        description="Hours in which bytes count towards neither cap nor price: `23:00-07:00`.",
    )
    hours: ManyHours | None = Field(
        default=None, description="Hours in which the link may be used, as `03:00-08:00`; else it is closed."
    )
    rates: RatesByHour = Field(
        default=(),
        description="Rates by the hour: `{08:00-18:00: 20Mbit/s, Sat-Sun 00:00-24:00: off}`. The first that "
        "fits holds; `down` holds otherwise.",
    )
    timezone: ZoneName = Field(
        default="UTC", description="Time zone of cycles and hours: UTC, or a name such as `Europe/Berlin`."
    )
    account: Text | None = Field(
        default=None,
        description="The name under which the ledger counts: one for links of several jobs that are the same "
        "contract. Default: the link's name.",
    )

    @model_validator(mode="after")
    def _divisible(self) -> LinkSpec:
        if self.shared is not None and self.down is None:
            raise ValueError("`shared` needs `down`: the rate that workers divide among them")
        return self


class ShardsSpec(_Model):
    """Sizes, compression and splits. Sizes in bytes."""

    target_size: Size = Field(default=256 * 1024**2, description="Source bytes in a shard.")
    chunk_size: Size = Field(
        default=64 * 1024**2,
        description="Source bytes after which an object is cut, where its format can be cut.",
    )
    row_group_size: Size = Field(
        default=64 * 1024**2, description="Uncompressed bytes in a row group; at most 100MB."
    )
    file_size: Size = Field(default=FILE_LIMIT, description="Uncompressed bytes in a file; at most 500MB.")
    compression: Text = Field(default="zstd:3", description="zstd:1 to zstd:22, snappy or none.")
    splits: dict[SplitName, Share] = Field(
        default={"train": 1.0}, description="Split: its share of the records; the shares add up to 1."
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
        if not value or abs(sum(value.values()) - 1) > 1e-9 or any(s <= 0 for s in value.values()):
            raise NotAllowed(value, "shares above 0 that add up to 1")
        return value

    @property
    def codec(self) -> tuple[str, int | None]:
        """Compression and its level, as pyarrow's writer takes them."""
        name, _, level = self.compression.partition(":")
        return name, int(level) if level else None


class AboutSpec(_Model):
    """What the dataset's card and its Croissant description say of it. No part of the plan: it may change
    at any time, and the next `run` writes it anew."""

    title: Text | None = Field(default=None, description="The dataset's title. Default: the job's name.")
    description: Text | None = Field(default=None, description="What is in it, for people.")
    licence: Text | None = Field(
        default=None, description="An SPDX identifier (`CC-BY-4.0`) or the URL of the licence's text."
    )
    homepage: Text | None = Field(default=None, description="The URL of the dataset's page.")
    creator: Text | None = Field(default=None, description="Who made it: a person or an organisation.")
    published: Text | None = Field(default=None, description="When it was published: `2026-11-22`.")
    citation: Text | None = Field(default=None, description="How it is cited.")
    opt_out: Text | None = Field(
        default=None,
        description="How people have their data taken out: a URL, an address, or what they have to do.",
    )

    @field_validator("licence")
    @classmethod
    def _spdx(cls, value: str | None) -> str | None:
        """One identifier by SPDX's grammar (specification 2.3, annex D), or a URL: card and Croissant take no
        others. Whether it is on SPDX's list is not looked up."""
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
            raise NotAllowed(value, "a day such as 2026-11-22, in quotes") from None


OnDrift = Annotated[
    Literal["reject", "fail", "null"],
    BeforeValidator(lambda value: "null" if value is None else value),  # as YAML reads a plain null
    WithJsonSchema({"enum": ["reject", "fail", "null", None]}),
]


class Job(_Model):
    """A job file, version 1. Paths are as written; relative ones start at the working directory."""

    version: Annotated[
        Literal[1], BeforeValidator(between(1, 1)), WithJsonSchema({"const": 1, "type": "integer"})
    ] = Field(description="The job file's version: 1.")
    name: Name = Field(description="The job's name, for reports.")
    dataset: Text = Field(repr=False, description="The output folder: a path or an fsspec URL.")
    spool: Text = Field(default=".skyhaul/spool", description="A folder on local disk for what is under way.")
    spool_limit: Size = Field(default=16 * 1024**3, description="Bytes that the spool may hold.")
    seed: Seed = Field(default=0, description="Seeds the dealing of chunks to shards and the splits.")
    schema_: SchemaName = Field(
        default="document", alias="schema", description="The dataset's record schema: one for all sources."
    )
    sources: dict[Name, SourceSpec] = Field(min_length=1, description="Name: source.")
    links: dict[Name, LinkSpec] = Field(default={}, description="Name: link.")
    shards: ShardsSpec = Field(default=ShardsSpec(), description="How shards are cut and written.")
    on_damage: Literal["reject", "fail"] = Field(
        default="reject",
        description="Bad records and unreadable rests of objects: keep them as rejects, or fail the shard.",
    )
    on_drift: OnDrift = Field(
        default="reject",
        description="Records that do not fit the schema: keep as rejects, fail the shard, or (`null`) keep "
        "them with null in each field whose value does not fit, counted by field and reason; a field that "
        "the schema requires still makes a reject.",
    )
    max_rejects: MaxRejects | None = Field(
        default=None,
        description="Records that a shard may reject, damage included: a share of those read (`5%`), a count "
        "(`1000`), or `{share: 5%, count: 1000}`. A shard above it fails (TooManyRejects): on a share from "
        "1,000 records on, and at its end. After three such shards of a source one after the other the rest "
        "of it fails unfetched. Default: no limit.",
    )
    transforms: list[TransformSpec] = Field(
        default=[],
        description="Rules between decoding and writing, in their order: what each takes out is counted.",
    )
    about: AboutSpec = Field(
        default=AboutSpec(), description="Licence, description, opt-out: for the dataset's card."
    )
    patience: Duration = Field(
        default=600.0, description="How long a silent source is tried before its shards are put off: `10m`."
    )

    ledger: Text | None = Field(
        default=None,
        description="The file that counts the bytes of links with a cap or a price, on local disk. Default: "
        "`$XDG_STATE_HOME/skyhaul/links.sqlite` (or below `~/.local/state`), one for all jobs of a user.",
    )
    deadline: Deadline | None = Field(
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
