"""Sorted runs on the way to a shuffled dataset: an external sort, whose runs lie in the dataset's own store.

A worker sorts what it has of rows by their keys and puts them into one file, the rows of each shard in a
stretch of their own; what travels between workers are references to stretches. Files are named by their
sha256 and created without replacing, so that a bundle that is done again does no harm, and a stretch is held
against its own sha256 before a row of it is used.
"""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.derived.row_order import order_keys, shards_of_keys
from skyhaul_schemas import layout
from skyhaul_schemas.errors import RecordDamaged, UsageError
from skyhaul_schemas.printable import printable

RUN_BYTES = 64 * 1024 * 1024
"""Bytes of rows that are sorted at once. Chosen, not measured."""

_SPLIT, _KEY = "split", "key"


class RunStretch(NamedTuple):
    """The rows of one shard in one run."""

    path: str
    offset: int
    length: int
    sha256: str


def folder_of(digest: str) -> str:
    """Where the runs of a derivation with this digest lie."""
    return f"{layout.SHUFFLE}/{digest[:16]}"


class RunWriter:
    """Rows in, sorted runs out.

    Args:
        store: The dataset that is being made.
        folder: Where runs go.
        seed: What rows are shuffled by.
        shards: How many the dataset has."""

    def __init__(self, store: DatasetStore, folder: str, seed: int, shards: int) -> None:
        self._store = store
        self._folder = folder
        self._seed = seed
        self._shards = shards
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, split: str, rows: pa.RecordBatch) -> Iterator[tuple[int, RunStretch]]:
        """Take rows of a split; (shard, stretch) of a run, where one is full. Raises StorageError."""
        if not rows.num_rows:
            return
        keys = pa.array(order_keys(rows, self._seed))
        splits = pa.repeat(pa.scalar(split, pa.string()), rows.num_rows)
        # First of all, so that the rows' own columns keep their places from the third on.
        schema = pa.schema([(_SPLIT, pa.string()), (_KEY, pa.uint64()), *rows.schema])
        self._held.append(pa.RecordBatch.from_arrays([splits, keys, *rows.columns], schema=schema))
        self._bytes += rows.nbytes
        if self._bytes >= RUN_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[tuple[int, RunStretch]]:
        """(shard, stretch) of the rest. Raises StorageError."""
        if not self._held:
            return
        rows = _sorted(self._held)
        self._held, self._bytes = [], 0
        shards = shards_of_keys(rows.column(_KEY).to_numpy(), self._shards)
        borders = [0, *(np.flatnonzero(np.diff(shards)) + 1).tolist(), len(shards)]
        file = self._store.files.create(self._store.temp_path(".run"))
        found: list[tuple[int, int, int, str]] = []
        try:
            for start, stop in itertools.pairwise(borders):
                data = _packed(rows.slice(start, stop - start))
                place = (int(shards[start]), file.bytes, len(data), hashlib.sha256(data).hexdigest())
                found.append(place)
                file.write(data)
            file.finish(sync=self._store.local_root is not None)
            path = f"{self._folder}/{file.sha256}.run"
            self._store.publish(file.path, path, file.sha256)
        except BaseException:
            file.discard()
            raise
        for shard, offset, length, sha256 in found:
            yield shard, RunStretch(path, offset, length, sha256)


def merged(store: DatasetStore, stretches: Iterable[RunStretch]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(split, its rows) of one shard, by split, in order. Holds the shard.

    Raises:
        RecordDamaged: A run is not as it was written.
        UsageError: Two rows have one id.
        StorageError: The storage fails otherwise."""
    # By their names, so that no order in which they came can matter: ids decide among equal keys.
    held = [batch for stretch in sorted(stretches) for batch in _read(store, stretch)]
    if not held:
        return
    rows = _sorted(held)
    del held
    _refuse_twins(rows)
    splits = rows.column(_SPLIT)
    for split in sorted(splits.unique().to_pylist()):
        of_split = rows.filter(pc.equal(splits, split))
        yield split, of_split.drop_columns([_SPLIT, _KEY])


def _sorted(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    rows = batches[0] if len(batches) == 1 else pa.concat_batches(batches)
    return rows.take(pc.sort_indices(rows, sort_keys=[(_KEY, "ascending"), ("id", "ascending")]))


def _refuse_twins(rows: pa.RecordBatch) -> None:
    ids = rows.column("id")
    if rows.num_rows < 2:
        return
    same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1))
    at = pc.index(same, True).as_py()
    if at >= 0:
        # Which of the two came first would depend on who was faster.
        raise UsageError(
            f"two rows have the id {printable(ids[at].as_py())}; ids of a dataset are its own: leave one of"
            " the two out"
        )


def _packed(rows: pa.RecordBatch) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_batch(rows)
    return sink.getvalue()


def _read(store: DatasetStore, stretch: RunStretch) -> Iterator[pa.RecordBatch]:
    try:
        with closing(store.open_input(stretch.path)) as file:
            file.seek(stretch.offset)
            data = file.read(stretch.length)
    except FileNotFoundError:
        data = b""
    if hashlib.sha256(data).hexdigest() != stretch.sha256:
        raise RecordDamaged(
            f"{stretch.path} in dataset {store.place} no longer has the bytes that were written to it; run"
            " the same command again"
        )
    with pa.ipc.open_stream(data) as reader:
        yield from reader
