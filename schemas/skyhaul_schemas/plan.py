"""The plan's rows: pinned objects, chunks and shards, and how they lie in Parquet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from skyhaul_schemas.block_digests import BlockDigests

GROUP_SIZE = 1000
"""Shards in a group: a folder stays listable, and a full group can be sealed into one file."""


KEY = "key"
"""The locator of an object whose path is a key of an object store and nothing else: empty parts, `.` and `..`
in it lead nowhere. Only keys that no path could be have it."""


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """One object, pinned by size and version.

    source: the source's name in the job file.
    path: the path below the source's root; `/` between parts, never absolute.
    size: bytes.
    version: how it is recognised again: `etag:"..."` (strong, quotes included), `vid:...` (version id),
        `mtime:<ns since 1970>`, `lm:<Last-Modified as sent>`, `sha256:...` (content-addressed), or ``
        where the source states nothing (then size alone pins it, and the plan says so).
    checksum: `sha256:<hex>` or `crc32c:<hex>` of the whole object, or None.
    locator: KEY, or where the source finds it again when that is not root + path (a listed URL); without
        user info and query secrets; never in the digest, never in a shard.
    blocks: digests of its blocks, where its list states them; in a chunk, of those that it may need. They
        prove the object and do not name it: objects that differ in nothing else are equal.
    """

    source: str
    path: str
    size: int
    version: str
    checksum: str | None = None
    locator: str | None = None
    blocks: BlockDigests | None = field(default=None, compare=False, repr=False)


Ranges = tuple[tuple[int, int], ...]
"""(offset, length) of parts of an object."""

NEEDED_CAP = 256
"""Parts of a chunk that a plan states at most, so that its rows stay small."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of one object that can be decoded on its own: bytes [offset, offset + length).

    The chunks of an object partition it: every byte is in exactly one, also in an empty object
    (one chunk of length 0). `index` is its place in its shard, from 0.

    needed: the parts of it that decoding needs, as (offset, length), rising and apart, where that is not
    all of it (a table of which some columns are wanted); the rest is skipped, by plan.
    """

    shard: int
    index: int
    object: PinnedObject
    offset: int
    length: int
    needed: Ranges | None = None

    @property
    def ranges(self) -> Ranges:
        """What of it is hauled."""
        return ((self.offset, self.length),) if self.needed is None else self.needed

    @property
    def skipped(self) -> Ranges:
        """What of it is not hauled: the gaps between `ranges`."""
        found = []
        at = self.offset
        for offset, length in (*self.ranges, (self.offset + self.length, 0)):
            if at < offset:
                found.append((at, offset - at))
            at = offset + length
        return tuple(found)

    @property
    def needed_bytes(self) -> int:
        return self.length if self.needed is None else sum(length for _, length in self.needed)


@dataclass(frozen=True, slots=True)
class Shard:
    """The unit of work, retry and commit: some chunks of one source, in order.

    plan: digest of the generation that the shard is of; commit and failure records carry it. emptied: the
    source of a shard without chunks, which is what an amendment leaves where all its objects are gone.
    """

    number: int
    chunks: tuple[Chunk, ...]
    plan: str = ""
    emptied: str | None = None

    @property
    def source(self) -> str:
        return self.chunks[0].object.source if self.chunks else self.emptied or ""

    @property
    def length(self) -> int:
        """Source bytes."""
        return sum(chunk.length for chunk in self.chunks)

    @property
    def needed_bytes(self) -> int:
        """Source bytes that are hauled."""
        return sum(chunk.needed_bytes for chunk in self.chunks)


OBJECTS_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("checksum", pa.string()),
        pa.field("locator", pa.string()),
        pa.field("blocks", pa.binary()),
    ]
)
"""`_skyhaul/plan/objects.parquet`: one row an object, sorted by the UTF-8 bytes of source and path. `blocks`:
digests of its blocks as `BlockDigests` packs them, null where its list states none."""

SHARDS_SCHEMA = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("chunk", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("checksum", pa.string()),
        pa.field("locator", pa.string()),
        pa.field("blocks", pa.binary()),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("needed", pa.list_(pa.field("item", pa.int64(), nullable=False))),
    ]
)
"""`_skyhaul/plan/shards.parquet`: one row a chunk, ordered by shard, then by its place in the shard.
`needed`: offset, length, offset, length, ... of the parts that are hauled; null where that is all. `blocks`:
digests of the blocks that the chunk may need; null where its object has none.

A row carries all that a worker needs of the object, so that a worker reads only its own row groups.
The Parquet key-value metadata `skyhaul` holds the plan's header (`PlanHeader` as JSON)."""

EMPTIED = -1
"""`chunk` of the one row of a shard that an amendment has emptied; its path is empty, its sizes are 0."""

DROPPED_SCHEMA = pa.schema(
    [
        *OBJECTS_SCHEMA,
        pa.field("taken_from", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("fate", pa.string(), nullable=False),
    ]
)
"""`_skyhaul/plan/dropped-{generation}.parquet`: one row a chunk that an amendment took out of a shard
(`taken_from`), sorted by source, path and offset. fate, of the object: `pinned-anew` (as it is now),
`dropped` (it is gone), or `cut-short` (a part of it is committed and stays; no more of it is hauled)."""

PINNED_ANEW, DROPPED, CUT_SHORT = "pinned-anew", "dropped", "cut-short"


@dataclass(frozen=True, slots=True)
class DroppedChunk:
    """A row of DROPPED_SCHEMA."""

    object: PinnedObject
    taken_from: int
    offset: int
    length: int
    fate: str


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """What the plan is made of; JSON in the key-value metadata `skyhaul` of shards.parquet.

    digest: sha256 over `job`, `fingerprint` and `objects_digest` (canonical JSON). job: the part of the
    job file that reaches a shard (see `jobfile.digested_part`). fingerprint: name -> version of every
    encoder. objects_digest: sha256 over the pinned objects in order. by_source: source -> counts
    (`objects`, `bytes`, `needed` of these, `chunks`, `shards`, `first_shard`). samples: source -> a path for
    each set of encoders that its objects need, so that a worker can build them to check its own
    fingerprint. unpinned: objects of which the source states no version; empty: objects without a byte.
    left_out: source -> reason -> how many names its last listing held that are no objects of the plan;
    left_out_names: a few of each. unchecked, unchecked_names: the same of what was to be held against a
    list and is not. These are in no digest: they say what the plan does not hold.

    A plan grows by generations (docs/architecture.md); counts, fingerprint and samples are those of all up
    to this one. generation: its number; kind: `plan`, `extend` or `amend`; previous: the digest of the one
    before; root: that of the first, or empty in it. rows: of this generation's own file; rows_digest: sha256
    over them and over what was dropped. spans: (source, first shard, end) of each stretch of shards;
    dropped: counts (`objects`, `chunks`, `bytes`) of what amendments took out.
    """

    digest: str
    name: str
    job: dict[str, Any]
    fingerprint: dict[str, str]
    objects_digest: str
    objects: int
    chunks: int
    shards: int
    source_bytes: int
    by_source: dict[str, dict[str, int]]
    unpinned: int = 0
    empty: int = 0
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    left_out_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    unchecked: dict[str, dict[str, int]] = field(default_factory=dict)
    unchecked_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    format: int = 1
    generation: int = 0
    kind: str = "plan"
    previous: str = ""
    root: str = ""
    rows: int = -1
    rows_digest: str = ""
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    dropped: dict[str, int] = field(default_factory=dict)

    @property
    def first_digest(self) -> str:
        """The digest of the first generation: one for the whole life of the dataset."""
        return self.root or self.digest

    def stretches(self) -> list[tuple[str, int, int]]:
        """(source, first shard, end) that cover the plan's shards, rising."""
        return self.spans or sorted(
            (
                (name, counts["first_shard"], counts["first_shard"] + counts["shards"])
                for name, counts in self.by_source.items()
                if counts["shards"]
            ),
            key=lambda span: span[1],
        )
