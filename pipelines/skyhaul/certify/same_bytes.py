"""Do equal rows give equal bytes here? A shard's rows are read back and encoded again.

The rows come in other batches than they were written in, and go through the encoder's own row groups and
writer; the files must come out with the digests of their commit record. That the sources' bytes give these
rows is not shown here, for certifying asks no source: `skyhaul replay --damaged` and a second haul do.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.shards import ENCODER_VERSION
from skyhaul.shards.assembler import Assembler
from skyhaul.shards.parquet import Compression, RollingFiles
from skyhaul.shards.row_bytes import row_bytes
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.records import planned_schema, shard_schema

_BATCH_ROWS = 997
"""Rows of a batch: a prime, so that batches end elsewhere than those that the shard was written in."""


def other_encoder(record: CommitRecord) -> str | None:
    """How this installation's encoder differs from the one that wrote the shard, or None."""
    # Another version may write other bytes for equal rows, and that is no fault of the dataset.
    here = {"skyhaul.shards": str(ENCODER_VERSION), "pyarrow": pa.__version__}
    for name, version in here.items():
        wrote = record.versions.get(name, "none")
        if wrote != version:
            return f"shard {record.shard} was written by {name} {wrote}, here is {version}"
    return None


def reencoded_differently(
    store: DatasetStore, header: PlanHeader, record: CommitRecord, folder: Path
) -> str | None:
    """The first file of the shard that does not come out as it was committed, or None.

    Args:
        store: The dataset.
        header: The plan's header.
        record: The shard's commit record.
        folder: On local disk, for the new files.

    Raises:
        StorageError: The storage fails otherwise.
        OSError
        ArrowException: Where rows cannot be read."""
    shards = header.job["shards"]
    codec, _, level = str(shards["compression"]).partition(":")
    compression = Compression(codec, int(level) if level else None)
    schema = shard_schema(planned_schema(header.job["schema"]))
    splits: dict[str, list[str]] = {}
    for file in record.files:
        match = DATA_FILE.fullmatch(file.path)
        splits.setdefault(match[2] if match else "", []).append(file.path)
    # A split's files follow each other in the record, so that its rows come as they were written.
    expected = {file.path: file.sha256 for file in record.files}
    scratch = open_store(str(folder), writable=True)
    try:
        for split, paths in splits.items():
            name = partial(layout.data_file, record.shard, split)
            files = RollingFiles(scratch, schema, compression, name, int(shards["file_size"]))
            try:
                assembler = Assembler(schema, int(shards["row_group_size"]), files.write)
                for batch in _rows(store, paths):
                    assembler.add(batch, row_bytes(batch))
                assembler.flush()
                files.finish()
                made = {done.entry.path: done.entry.sha256 for done in files.finished}
            finally:
                files.discard()
            # Of both: a file that is not made any more, or one too many, differs as well.
            for path in sorted(made.keys() | set(paths)):
                if made.get(path) != expected.get(path):
                    return path
    finally:
        scratch.close()
    return None


def _rows(store: DatasetStore, paths: list[str]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        with store.open_input(path) as file:
            # Group by group, with nothing read ahead: a file may have 500 MB, and its rows pass through once.
            parquet = pq.ParquetFile(file, pre_buffer=False)
            for group in range(parquet.num_row_groups):
                yield from parquet.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group])
