"""The Decoder protocol: bytes of a chunk in, Arrow record batches and rejects out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

    from skyhaul_schemas.plan import Chunk, PinnedObject, Ranges
    from skyhaul_schemas.records import RecordSchema


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """What the job says about decoding one source."""

    schema: RecordSchema
    """The dataset's schema: a name, or a schema that the job declares."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Schema field -> source column."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """`decode:` of the source, which the format checks."""
    on_damage: str = "reject"
    """What becomes of bad bytes: `reject` or `fail`."""
    on_drift: str = "reject"
    """What becomes of a sound record that does not fit the schema: `reject`, `fail` or `null`."""
    batch_bytes: int = 8 * 1024 * 1024
    """Bytes of body that a batch holds at most, so that memory is bounded; one row may be more. Not the job's
    to say: how rows are batched reaches no byte of a shard."""


class ChunkBytes(Protocol):
    """Random access to the object of one chunk; the chunk's segments are local, the rest is fetched."""

    @property
    def chunk(self) -> Chunk: ...

    def read(self, offset: int, length: int) -> bytes:
        """Read bytes [offset, offset + length) of the object, cut at its end.

        Blocks until they are here and verified. Outside of the chunk's segments each call is a fetch over the
        link, so that decoders read there in as few and small pieces as they can.

        Raises:
            CarriageError: The source did not give them.
            StorageError: The spool's disk did not.
        """


@dataclass(frozen=True, slots=True)
class Reject:
    """A record, or the unreadable rest of an object, that could not be taken."""

    offset: int
    length: int
    reason: str
    """Why, for people: on one line, and free to quote the object."""
    raw: bytes
    """Its beginning, at most RAW_CAP bytes."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was read and by its kind is no record: a redirect in a web archive, a folder in a tar.

    Each is counted where it begins, so that the counts do not depend on how an object is cut. What lies
    between records and is no record of any kind (blank lines, comments, a header) is not counted.
    """

    reason: str
    """Out of a small set that the format fixes (`a revisit record`), never a text of the object: it is a key
    of commit records, which have to stay small."""
    count: int
    offset: int
    """Of the first one."""


@dataclass(slots=True)
class Decoded:
    """One step of decoding: all that was read since the last one.

    The records of a step are the batch's rows, the rejects and what was passed over: each record is in
    exactly one of them, and a commit record's counts are their sums.
    """

    batch: pa.RecordBatch
    """Of `decoded_schema(schema)`; may have no rows."""
    rejects: list[Reject] = field(default_factory=list)
    damaged: bool = False
    """The rest of the object, which is one of the rejects, is unreadable: the haul ends with exit code 3."""
    passed_over: list[PassedOver] = field(default_factory=list)
    nulled: dict[str, int] = field(default_factory=dict)
    """Under `on_drift: null`, fields of these rows that are null because their value did not fit, counted by
    `field: kind`; of a small set, as the reasons of PassedOver."""


class Decoder(Protocol):
    """A format under settings, built by `formats.registry.decoder_for(...)`.

    It keeps nothing between calls, and encoder threads share it. The same bytes give the same rows, rejects
    and steps in any process: shards are compared byte for byte, and `max_rejects` is judged step by step.
    """

    @property
    def fingerprint(self) -> Mapping[str, str]:
        """Library -> version, of every one whose output reaches a record.

        A plan keeps it, and a worker with another one refuses to start.
        """

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        """Yield (offset, length) of the object's chunks, a partition of it; one (0, size) if it stays whole.

        Args:
            obj: The object, as the plan pins it.
            chunk_size: Bytes that a chunk should have.
            read: `read(offset, length) -> bytes` of the object while planning. Each call is a request over
                the link, so that a format asks only where it cannot cut without.
        """

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        """Give (offset, length) of what has to be here before decoding.

        As a rule that is the chunk itself; where records are cut by the record-that-starts-here rule, also
        the byte before it and some look-ahead.
        """

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        """Yield the chunk's records in steps, rows in the order of their offsets.

        Raises:
            DecodeError: Bytes are bad, and `on_damage` is `fail`; otherwise damage is in what is yielded.
            DriftError: A record does not fit the schema, and `on_drift` is `fail`.
            CarriageError: As `ChunkBytes.read` raises it.
            StorageError: Likewise; or a reading child was killed from outside.
        """


@runtime_checkable
class Selective(Protocol):
    """A decoder that can do with parts of an object, so that the rest need not cross the link."""

    @property
    def selects(self) -> bool:
        """Whether the settings ask for less than all."""

    def needed(
        self, obj: PinnedObject, chunks: Sequence[tuple[int, int]], read: Callable[[int, int], bytes]
    ) -> list[Ranges | None]:
        """Give, for each chunk that `cut` gave, the parts of it that `decode` reads; None means all of it.

        The plan says that nothing else of the chunk crosses, so that `decode` must not read beyond them.

        Args:
            obj: The object.
            chunks: (offset, length) of each, as `cut` gave them.
            read: As for `cut`; planning remembers what was read of the object before.
        """


@runtime_checkable
class Joins(Protocol):
    """A decoder that may make a record of several objects: an image and what lies beside it.

    Objects of a group are never cut, and planned side by side in one shard.
    """

    def group_of(self, path: str) -> str | None:
        """The name of the object's group, equal for all objects in it; None: this one stands alone."""

    def adds(self, path: str) -> bool:
        """Whether the object only adds to the records of its group, and makes none."""

    def decode_group(self, members: Sequence[ChunkBytes]) -> Iterator[tuple[int, Decoded]]:
        """Decode all members of one group that are in the shard, each step with its place among them.

        The places rise: rows of a shard lie in the order of its chunks. Every member's rejects are its own.
        """


@runtime_checkable
class ReadsAhead(Protocol):
    """A decoder that has to read a stretch of each object in order to cut it."""

    def first_read(self, obj: PinnedObject, chunk_size: int) -> tuple[int, int] | None:
        """Give (offset, length) of what `cut` and `needed` will read first; None if they read nothing.

        Planning reads it for many objects at once: one after the other each would cost a round trip.
        """
