"""The files of one shard of a derived dataset, and what its plan will pin of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.derived.derivation import Derivation
from skyhaul.derived.spec import Written
from skyhaul.shards.assembler import Assembler
from skyhaul.shards.parquet import Compression, FinishedFile, RollingFiles
from skyhaul.shards.row_bytes import row_bytes
from skyhaul.shards.row_content import RowContent
from skyhaul_schemas import layout
from skyhaul_schemas.records import planned_schema, shard_schema


def write_shard(
    store: DatasetStore, derivation: Derivation, shard: int, rows: Iterable[tuple[str, pa.RecordBatch]]
) -> Written:
    """Write the shard's files and put them into place, where they do no harm until they are committed.

    Equal rows in equal order give equal bytes, however they are batched; written again, they are found there.

    Args:
        store: The derived dataset.
        derivation: Its own.
        shard: The shard's number.
        rows: (split, rows), by split.

    Raises:
        CommitConflict: A file of other bytes is there.
        DiskFull: There is no room left.
        StorageError: The storage fails otherwise."""
    started = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    content = RowContent()
    written: list[FinishedFile] = []
    split: str | None = None
    open_split: _SplitFiles | None = None
    try:
        for name, batch in rows:
            if name != split:
                if open_split is not None:
                    written += open_split.finish()
                split, open_split = name, _SplitFiles(store, derivation, shard, name)
                content.begin(name)
            assert open_split is not None
            content.add(batch)
            open_split.assembler.add(batch, row_bytes(batch))
        if open_split is not None:
            written += open_split.finish()
        for finished in written:
            store.publish(finished.file.path, finished.entry.path, finished.entry.sha256)
    finally:
        if open_split is not None:
            open_split.files.discard()
        for finished in written:
            store.files.unlink(finished.file.path)
    return Written(
        shard,
        content.length,
        content.sha256,
        sum(finished.entry.rows for finished in written),
        json.dumps([finished.entry.model_dump() for finished in written]),
        started,
    )


class _SplitFiles:
    """The files of one split of the shard."""

    def __init__(self, store: DatasetStore, derivation: Derivation, shard: int, split: str) -> None:
        encoding = derivation.encoding
        codec, _, level = str(encoding["compression"]).partition(":")
        schema = shard_schema(planned_schema(derivation.schema))
        self.files = RollingFiles(
            store,
            schema,
            Compression(codec, int(level) if level else None),
            partial(layout.data_file, shard, split),
            int(encoding["file_size"]),
        )
        self.assembler = Assembler(schema, int(encoding["row_group_size"]), self.files.write)

    def finish(self) -> list[FinishedFile]:
        self.assembler.flush()
        self.files.finish()
        return self.files.finished
