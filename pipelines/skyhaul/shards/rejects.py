"""The rejects of a shard: one Parquet file, as byte-stable as the shard's data."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards.assembler import Assembler
from skyhaul.shards.parquet import Compression, RollingFiles
from skyhaul.shards.row_bytes import row_bytes
from skyhaul_connectors.formats.protocol import Reject
from skyhaul_schemas import layout
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.records import RAW_CAP, REJECTS_SCHEMA

_ROW_GROUP = 16 * 1024 * 1024
"""Uncompressed bytes of a row group: people look into rejects, and no training job reads them. Chosen, not
measured; another number gives other bytes, and is a new ENCODER_VERSION."""


class RejectsFile:
    """Takes rejects in order; there is no file where there are none."""

    def __init__(self, store: DatasetStore, shard: int, compression: Compression) -> None:
        self.count = 0
        self.files = RollingFiles(
            store, REJECTS_SCHEMA, compression, lambda part: layout.rejects_file(shard), None
        )
        self._assembler = Assembler(REJECTS_SCHEMA, _ROW_GROUP, self.files.write)

    def add(self, obj: PinnedObject, rejects: Sequence[Reject]) -> None:
        if not rejects:
            return
        self.count += len(rejects)
        batch = pa.RecordBatch.from_arrays(
            [
                pa.repeat(pa.scalar(obj.source), len(rejects)),
                pa.repeat(pa.scalar(obj.path), len(rejects)),
                pa.array([reject.offset for reject in rejects], pa.int64()),
                pa.array([reject.length for reject in rejects], pa.int64()),
                pa.array([reject.reason for reject in rejects], pa.string()),
                # Enough to see what it was; one reject may be the rest of a broken file.
                pa.array([reject.raw[:RAW_CAP] for reject in rejects], pa.binary()),
            ],
            schema=REJECTS_SCHEMA,
        )
        self._assembler.add(batch, row_bytes(batch))

    def finish(self) -> None:
        self._assembler.flush()
        self.files.finish()
