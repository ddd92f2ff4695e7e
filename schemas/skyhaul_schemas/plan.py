"""The plan's rows: pinned objects, chunks and shards, and how they lie in Parquet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from skyhaul_schemas.block_digests import BlockDigests

GROUP_SIZE = 1000
"""Shards in a group: a folder stays listable, and a full group can be sealed into one file. Paths have it in
them (`layout`): with another value nothing of an existing dataset would be found."""


KEY = "key"
"""The locator of an object whose path is a key of an object store and nothing else: empty parts, `.` and `..`
in it lead nowhere. Only keys that no path could be have it."""


@dataclass(frozen=True, slots=True)
class PinnedObject:
    """One object, pinned by size and version."""

    source: str
    """The source's name in the job file."""
    path: str
    """The path below the source's root; `/` between parts, never absolute."""
    size: int
    """Bytes."""
    version: str
    """How it is recognised again: `etag:"..."` (strong, quotes included), `vid:...` (version id),
    `mtime:<ns since 1970>`, `lm:<Last-Modified as sent>`, `sha256:...` (content-addressed), or `` where the
    source states nothing (then size alone pins it, and the plan says so)."""
    checksum: str | None = None
    """`sha256:<hex>` or `crc32c:<hex>` of the whole object, or None."""
    locator: str | None = None
    """KEY, or where the source finds it again when that is not root + path (a listed URL); without user info
    and query secrets; never in the digest, never in a shard."""
    blocks: BlockDigests | None = field(default=None, compare=False, repr=False)
    """Digests of its blocks, where its list states them; in a chunk, of those that it may need. They prove
    the object and do not name it: objects that differ in nothing else are equal."""


Ranges = tuple[tuple[int, int], ...]
"""(offset, length) of parts of an object."""

NEEDED_CAP = 256
"""Parts of a chunk that a plan states at most, so that its rows stay small. Of more, planning fills the
narrowest gaps and hauls them along; a reader refuses a row with more."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of one object that can be decoded on its own: bytes [offset, offset + length).

    The chunks of an object partition it: every byte is in exactly one, also in an empty object
    (one chunk of length 0).
    """

    shard: int
    index: int
    """Its place in its shard, from 0; decoding goes by it, and so does the order of a shard's rows."""
    object: PinnedObject
    offset: int
    length: int
    needed: Ranges | None = None
    """The parts of it that decoding needs, rising and apart, where that is not all of it (a table of which
    some columns are wanted); the rest is skipped, by plan. None and not the whole as one part, so that the
    digest of a plan without parts says nothing of them."""

    @property
    def ranges(self) -> Ranges:
        """(offset, length) of the parts that are hauled."""
        return ((self.offset, self.length),) if self.needed is None else self.needed

    @property
    def skipped(self) -> Ranges:
        """(offset, length) of the parts that are not hauled: the gaps between `ranges`."""
        # With `ranges` they cover the chunk without a gap: `verify` holds a commit record against both.
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
    """The unit of work, retry and commit: some chunks of one source, in order."""

    number: int
    chunks: tuple[Chunk, ...]
    plan: str = ""
    """Digest of the generation that the shard is of; commit and failure records carry it."""
    emptied: str | None = None
    """The source of a shard without chunks, which is what an amendment leaves where all its objects are gone.
    The shard is committed all the same, for numbers have no gaps."""

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


# The three tables below are read by whatever version made a dataset: `format` of the header rises where a
# column goes or means something else (docs/versions.md).
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
"""The fates; they are in files, and an unknown one makes a plan damaged."""


@dataclass(frozen=True, slots=True)
class DroppedChunk:
    """A row of DROPPED_SCHEMA."""

    object: PinnedObject
    taken_from: int
    offset: int
    length: int
    fate: str


DERIVED = "derived"
"""Key of a header's `job` where the dataset was made of the rows of others: its value says how
(`skyhaul.derived.derivation`)."""


@dataclass(frozen=True, slots=True)
class PlanHeader:
    """What the plan is made of; JSON in the key-value metadata `skyhaul` of shards.parquet.

    A plan grows by generations (docs/adr/0004): counts, fingerprint and samples are those of all up to this
    one, so that the last header describes the whole plan. A field's default is what its absence means, in
    plans that were made before there was the field.
    """

    digest: str
    """sha256 over `job`, `fingerprint` and `objects_digest` (canonical JSON); of a later generation over that
    of the one before, too (`skyhaul.planning.store.plan_digest`)."""
    name: str
    """The job's name, for reports; in no digest."""
    job: dict[str, Any]
    """The part of the job file that reaches a shard (`job.digest.digested_part`)."""
    fingerprint: dict[str, str]
    """Name -> version of every encoder, decoder and library whose output reaches a shard."""
    objects_digest: str
    """sha256 over the pinned objects in order."""
    objects: int
    chunks: int
    shards: int
    source_bytes: int
    by_source: dict[str, dict[str, int]]
    """Source -> counts: `objects`, `bytes`, `needed` of these, `chunks`, `shards`, `first_shard`."""
    unpinned: int = 0
    """Objects of which the source states no version."""
    empty: int = 0
    """Objects without a byte."""
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    """Source -> reason -> how many names its last listing held that are no objects of the plan. In no digest,
    as the three fields below: they say what the plan does not hold."""
    left_out_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """A few of each: a header stays small whatever a listing holds."""
    unchecked: dict[str, dict[str, int]] = field(default_factory=dict)
    """Source -> reason -> how many names were to be held against a list and are not."""
    unchecked_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    """Source -> a path for each set of encoders that its objects need: a worker builds their decoders to
    check its own fingerprint without reading millions of rows."""
    format: int = 1
    """A reader refuses any other number, before it looks at the rest."""
    generation: int = 0
    """Its number."""
    kind: str = "plan"
    """`plan`, `extend` or `amend`."""
    previous: str = ""
    """The digest of the generation before; empty in the first."""
    root: str = ""
    """The digest of the first generation; empty in the first itself, which cannot hold its own."""
    rows: int = -1
    """Rows of this generation's own file; -1 in the first, which has `chunks` of them."""
    rows_digest: str = ""
    """sha256 over the rows and over what was dropped. Empty in the first, whose rows follow from its
    objects."""
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    """(source, first shard, end) of each stretch of shards. Empty in the first: `by_source` says it."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Counts (`objects`, `chunks`, `bytes`) of what amendments took out."""

    @property
    def first_digest(self) -> str:
        """The digest of the first generation: one for the whole life of the dataset."""
        # The spool's name, so that what is under way survives an extension.
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
