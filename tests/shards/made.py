"""Shards of rows that a test makes up: a decoder that yields given batches, chunks of given bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards.encode import encode_shard
from skyhaul.shards.foreign_code.map_records import MapRecords
from skyhaul.shards.transform_step import Transform
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, Reject
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.plan import Chunk, PinnedObject, Shard
from skyhaul_schemas.records import BODIES, decoded_schema


def documents(
    texts: Sequence[str],
    *,
    start: int = 0,
    languages: Sequence[str | None] = (),
    metadata: Sequence[str | None] = (),
) -> pa.RecordBatch:
    """Decoded `document` rows that lie one after the other from byte `start`."""
    offsets, at = [], start
    for text in texts:
        offsets.append(at)
        at += len(text.encode()) + 1
    columns = {
        "text": pa.array(texts, pa.large_string()),
        "language": pa.array(languages or [None] * len(texts), pa.string()),
        "metadata": pa.array(metadata or [None] * len(texts), pa.string()),
        "offset": pa.array(offsets, pa.int64()),
        "length": pa.array([len(text.encode()) + 1 for text in texts], pa.int64()),
    }
    arrays = [
        columns[field.name] if field.name in columns else pa.nulls(len(texts), field.type)
        for field in decoded_schema("document")
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=decoded_schema("document"))


def cut(batch: pa.RecordBatch, borders: Sequence[int]) -> list[pa.RecordBatch]:
    """`batch` in pieces; borders in any order, pieces may be empty."""
    places = sorted({0, batch.num_rows, *(b % (batch.num_rows + 1) for b in borders)})
    return [batch.slice(a, b - a) for a, b in pairwise(places)] or [batch]


@dataclass
class Script:
    """A decoder that reads the chunk as `reads` says and yields `steps[object path]`."""

    steps: Mapping[str, Sequence[Decoded]]
    reads: Callable[[ChunkBytes], object] = lambda data: data.read(data.chunk.offset, data.chunk.length)
    fingerprint: Mapping[str, str] = field(default_factory=lambda: {"script": "1"})

    def cut(self, obj: PinnedObject, chunk_size: int, read: object = None) -> Iterator[tuple[int, int]]:
        yield 0, obj.size

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        return [(chunk.offset, chunk.length)]

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        self.reads(data)
        yield from self.steps[data.chunk.object.path]


@dataclass
class MadeRecipe:
    """A recipe with one decoder for everything."""

    script: Script
    schema: str = "document"
    plan: str = "0" * 64
    seed: int = 7
    splits: Mapping[str, float] = field(default_factory=lambda: {"train": 1.0})
    row_group_size: int = 1 << 20
    file_size: int = 1 << 24
    codec: str = "zstd"
    level: int | None = 3
    map_records: MapRecords | None = None

    def decoder(self, source: str, path: str) -> Script:
        return self.script


def shard_of(objects: Mapping[str, bytes], *, source: str = "src", number: int = 0) -> Shard:
    """A shard of whole objects, in the given order."""
    return Shard(
        number,
        tuple(
            Chunk(number, index, PinnedObject(source, path, len(data), 'etag:"1"'), 0, len(data))
            for index, (path, data) in enumerate(objects.items())
        ),
    )


def encode(
    folder: Path,
    recipe: MadeRecipe,
    objects: Mapping[str, bytes],
    *,
    transforms: Sequence[Transform] = (),
    cancelled: Callable[[], bool] = lambda: False,
    done_with: Callable[[Chunk], None] = lambda chunk: None,
    store: DatasetStore | None = None,
) -> CommitRecord:
    """Encode one shard of whole objects into a dataset in `folder`."""
    opened = store or open_store(str(folder), writable=True)
    try:
        return encode_shard(
            shard_of(objects),
            recipe,
            lambda chunk: BytesChunk(objects[chunk.object.path], chunk),
            opened,
            transfer=dict,
            started="2026-01-01T00:00:00.000Z",
            cancelled=cancelled,
            done_with=done_with,
            transforms=transforms,
        )
    finally:
        opened.close()


def steps(batches: Sequence[pa.RecordBatch], rejects: Sequence[Reject] = ()) -> list[Decoded]:
    """One step a batch; the rejects come with the first."""
    made = [Decoded(batch) for batch in batches]
    made[0].rejects.extend(rejects)
    return made


BODY_NAMES = [field.name for field in BODIES["document"]]
