"""The Decoder protocol: bytes of a chunk in, Arrow record batches and rejects out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

    from skyhaul_schemas.plan import Chunk, PinnedObject, Ranges


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """What the job says about decoding one source.

    schema: the dataset's schema name. fields: schema field -> source column. options: `decode:` of the
    source, checked by the format. Batches hold at most `batch_bytes` of body, so memory stays bounded.
    """

    schema: str
    fields: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    on_damage: str = "reject"
    on_drift: str = "reject"
    batch_bytes: int = 8 * 1024 * 1024


class ChunkBytes(Protocol):
    """Random access to the object of one chunk; the chunk's segments are local, the rest is fetched."""

    @property
    def chunk(self) -> Chunk: ...

    def read(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of the object, cut at its end. Blocks until they are here and
        verified. Raises CarriageError or StorageError."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record (or the unreadable rest of an object) that could not be taken. `raw` is cut at RAW_CAP."""

    offset: int
    length: int
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was read and by its kind is no record: a redirect in a web archive, a folder in a tar. `count` of
    them for one `reason`; `offset` is the first one's.

    reason: of a small set that the format fixes (`a revisit record`), never a text out of the object, for it
    is a key of each commit record. Each is counted where it begins, so that the counts do not depend on how
    an object is cut. What is between records and no record of any kind (blank lines, comments, a header) is
    not counted."""

    reason: str
    count: int
    offset: int


@dataclass(slots=True)
class Decoded:
    """One step of decoding: a batch with `decoded_schema(schema)` (may have no rows), what was rejected since
    the last step, and what was passed over. `damaged` marks the object: its rest (one of the rejects) is
    unreadable. Records read so far are the batch's rows, the rejects and what was passed over. nulled: under
    `on_drift: null`, fields of these records that are null since their value does not fit, counted by
    `field: kind`, of a small set as in PassedOver."""

    batch: pa.RecordBatch
    rejects: list[Reject] = field(default_factory=list)
    damaged: bool = False
    passed_over: list[PassedOver] = field(default_factory=list)
    nulled: dict[str, int] = field(default_factory=dict)


class Decoder(Protocol):
    """A format under settings. Stateless between calls; the same bytes give the same batches in any
    process. Built by `formats.registry.decoder_for(...)`, which raises UsageError on bad options."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Versions of every library whose output reaches a record, for the encoder fingerprint."""

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        """(offset, length) of the object's chunks, a partition of it; one (0, size) when it stays whole.
        `read(offset, length) -> bytes` reads a little of it at plan time where the format needs that."""

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        """(offset, length) of what must be here before decoding; by default the chunk itself, plus a
        byte before and some look-ahead where records are cut by the record-that-starts-here rule."""

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        """Raises DecodeError where the settings say `fail`; else damage is in what it yields."""


@runtime_checkable
class Selective(Protocol):
    """A decoder that may do with parts of an object, so that the rest need not cross the link."""

    @property
    def selects(self) -> bool:
        """Whether the settings ask for less than all."""

    def needed(
        self, obj: PinnedObject, chunks: Sequence[tuple[int, int]], read: Callable[[int, int], bytes]
    ) -> list[Ranges | None]:
        """For each of the chunks that `cut` gave, the parts of it that `decode` reads, in any order; None:
        all of it. `read` reads a little of the object at plan time."""


@runtime_checkable
class Joins(Protocol):
    """A decoder that may make a record of several objects: an image and what lies beside it. Objects of a
    group are never cut, and planned side by side in one shard."""

    def group_of(self, path: str) -> str | None:
        """What the objects of a group have in common, equal for all of them; None: this one stands alone."""

    def adds(self, path: str) -> bool:
        """Whether the object only adds to the records of its group, and makes none."""

    def decode_group(self, members: Sequence[ChunkBytes]) -> Iterator[tuple[int, Decoded]]:
        """As `decode`, of all members of one group that are in the shard; each step with its place among
        them. The places rise."""


@runtime_checkable
class ReadsAhead(Protocol):
    """A decoder that reads a stretch of each object to cut it."""

    def first_read(self, obj: PinnedObject, chunk_size: int) -> tuple[int, int] | None:
        """(offset, length) of what `cut` and `needed` will read first, so that it can be had for many
        objects at once; None where they read nothing."""
