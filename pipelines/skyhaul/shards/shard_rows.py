"""Decoded batches in, canonical row groups of each split out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards.assembler import Assembler
from skyhaul.shards.foreign_code.map_records import CanonicalBatches, MapRecords
from skyhaul.shards.identity import identified
from skyhaul.shards.language_tags import with_primary_tags
from skyhaul.shards.parquet import Compression, FinishedFile, RollingFiles
from skyhaul.shards.row_bytes import row_bytes
from skyhaul.shards.splits import SplitRule, UInt64s, object_key, row_hashes
from skyhaul.shards.transform_step import Transform, apply
from skyhaul.shards.truncated_images import TruncatedImages
from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_schemas import layout
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.records import RecordSchema, shard_schema


class EncodeRecipe(Protocol):
    """What encoding asks of a plan and its job.

    Sizes are bytes, uncompressed. `plan` is the plan's digest, `seed` the job's, which is not negative.
    """

    @property
    def schema(self) -> RecordSchema: ...
    @property
    def plan(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def splits(self) -> Mapping[str, float]: ...
    @property
    def row_group_size(self) -> int: ...
    @property
    def file_size(self) -> int: ...
    @property
    def codec(self) -> str: ...
    @property
    def level(self) -> int | None: ...
    @property
    def map_records(self) -> MapRecords | None: ...

    def decoder(self, source: str, path: str) -> Decoder:
        """The decoder of one object."""


_STAGE_BYTES = 1024 * 1024
_STAGE_BATCHES = 1024
"""Bytes and batches of a stage, whichever is reached first. Chosen, not measured. How rows are staged reaches
no byte of a file: the assembler cuts by rows, and transforms may not tell batches apart."""


class ShardRows:
    """The rows of one shard on their way to its files.

    Batches are staged first, so that a shard of many small objects pays for ids, splits and sizes once a
    stage rather than once an object."""

    def __init__(
        self, store: DatasetStore, shard: int, recipe: EncodeRecipe, transforms: Sequence[Transform]
    ) -> None:
        self.read = 0
        self.filtered_by: dict[str, int] = {}
        self._recipe = recipe
        self._transforms = transforms
        self._splits = SplitRule(recipe.splits)
        compression = Compression(recipe.codec, recipe.level)
        schema = shard_schema(recipe.schema)
        self._files = [
            RollingFiles(
                store, schema, compression, partial(layout.data_file, shard, split), recipe.file_size
            )
            for split in self._splits.names
        ]
        self._assemblers = [Assembler(schema, recipe.row_group_size, files.write) for files in self._files]
        self._staged: list[pa.RecordBatch] = []
        self._staged_bytes = 0
        self._objects: list[PinnedObject] = []
        self._which: list[int] = []
        self._truncated = TruncatedImages() if recipe.schema == "image" else None
        self._mapped = (
            CanonicalBatches(recipe.map_records, self._deal_mapped, self.filtered_by)
            if recipe.map_records is not None
            else None
        )

    @property
    def truncated_by(self) -> dict[str, int] | None:
        """Images among the rows so far that were cut off, by format; None if rows are no images."""
        return None if self._truncated is None else self._truncated.by_format()

    def add(self, batch: pa.RecordBatch, obj: PinnedObject) -> None:
        """Take the next rows of `obj`. Raises DiskFull or StorageError."""
        if batch.num_rows == 0:
            return
        self.read += batch.num_rows
        if not self._objects or self._objects[-1] is not obj:
            self._objects.append(obj)
        self._staged.append(batch)
        self._staged_bytes += batch.nbytes
        self._which.append(len(self._objects) - 1)
        if self._staged_bytes >= _STAGE_BYTES or len(self._staged) >= _STAGE_BATCHES:
            self._flush_stage()

    def _flush_stage(self) -> None:
        if not self._staged:
            return
        staged, objects, which = self._staged, self._objects, self._which
        self._staged, self._staged_bytes, self._objects, self._which = [], 0, [], []
        lengths = [batch.num_rows for batch in staged]
        spread = np.repeat(np.array(which, dtype=np.int32), lengths)
        decoded = staged[0] if len(staged) == 1 else pa.concat_batches(staged)
        if self._recipe.schema == "document":
            decoded = with_primary_tags(decoded)
        # What `concat_batches` has copied may go before ids and provenance are made beside it.
        del staged
        rows = identified(decoded, objects, spread, self._recipe.schema)
        if self._transforms:
            # Before the splits are parted, so that a transform meets the rows in the shard's own order.
            rows = apply(self._transforms, rows, self.filtered_by)
            if rows.num_rows != decoded.num_rows:
                spread = _objects_of(rows, objects)
        if self._mapped is not None:
            self._mapped.add(rows)
        else:
            self._deal(rows, lambda: self._keys([(o.source, o.path) for o in objects])[spread])

    def _deal_mapped(self, rows: pa.RecordBatch) -> None:
        def keys() -> UInt64s:
            # These rows lie in several stages; what object they are of, they say themselves.
            provenance = rows.column("provenance")
            source = pc.struct_field(provenance, "source")[0].as_py()
            names = pc.struct_field(provenance, "object").dictionary_encode()
            paths = [(source, path) for path in names.dictionary.to_pylist()]
            indices: npt.NDArray[np.int32] = names.indices.to_numpy()
            return self._keys(paths)[indices]

        self._deal(rows, keys)

    def _keys(self, objects: Sequence[tuple[str, str]]) -> UInt64s:
        # Once an object, and then an index for each row: hashing paths row by row would be Python's speed.
        return np.array([object_key(*place, self._recipe.seed) for place in objects], dtype=np.uint64)

    def _deal(self, rows: pa.RecordBatch, keys: Callable[[], UInt64s]) -> None:
        """Part rows into splits; `keys` gives the key of each row's object."""
        if self._truncated is not None:
            self._truncated.add(rows)
        # One split takes all rows: none is hashed for that.
        if len(self._assemblers) == 1:
            self._assemble(self._assemblers[0], rows)
            return
        offsets = pc.struct_field(rows.column("provenance"), "offset").to_numpy()
        dealt = self._splits.deal(row_hashes(keys(), offsets))
        for index, assembler in enumerate(self._assemblers):
            mask = dealt == index
            if mask.any():
                self._assemble(assembler, rows if mask.all() else rows.filter(pa.array(mask)))

    def _assemble(self, assembler: Assembler, rows: pa.RecordBatch) -> None:
        if rows.num_rows:
            assembler.add(rows, row_bytes(rows))

    def finish(self) -> list[FinishedFile]:
        """Write what is left; return the shard's files in order of split and part."""
        self._flush_stage()
        if self._mapped is not None:
            self._mapped.finish()
        for assembler, files in zip(self._assemblers, self._files, strict=True):
            assembler.flush()
            files.finish()
        return [finished for files in self._files for finished in files.finished]

    def discard(self) -> None:
        """Remove the temporary files."""
        for files in self._files:
            files.discard()


def _objects_of(rows: pa.RecordBatch, objects: Sequence[PinnedObject]) -> npt.NDArray[np.int32]:
    """Index into `objects`, all of one source, of each row."""
    names = pc.struct_field(rows.column("provenance"), "object")
    places = pc.index_in(names, value_set=pa.array([o.path for o in objects], pa.string()))
    return np.asarray(places, dtype=np.int32)
