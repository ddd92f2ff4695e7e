"""The inputs of a derived dataset, as pinned: which datasets, and which of their files with which digests."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import PlanDamaged

INPUTS_SCHEMA = pa.schema(
    [
        pa.field("input", pa.int32(), nullable=False),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("raw_bytes", pa.int64(), nullable=False),
    ]
)
"""`_skyhaul/plan/inputs.parquet`: one row a file, by input, then as the commit records name them. `input`
counts the datasets that the derivation names."""

_ROWS_A_GROUP = 8192


@dataclass(frozen=True, slots=True)
class InputFile:
    """A committed file that rows come from."""

    input: int
    """Which of the datasets."""
    shard: int
    path: str
    bytes: int
    sha256: str
    rows: int
    raw_bytes: int
    """Uncompressed."""


def files_of(which: int, records: Iterable[CommitRecord]) -> Iterator[InputFile]:
    """The files of an input's commit records, in their order."""
    for record in records:
        for file in record.files:
            yield InputFile(
                which, record.shard, file.path, file.bytes, file.sha256, file.rows, file.raw_bytes
            )


class InputsDigest:
    """sha256 over a line of canonical JSON for each file, and what the files add up to."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.files = self.rows = self.bytes = self.raw_bytes = 0

    def add(self, file: InputFile) -> None:
        line = [file.input, file.shard, file.path, file.bytes, file.sha256, file.rows, file.raw_bytes]
        self._sha256.update(canonical_json(line) + b"\n")
        self.files += 1
        self.rows += file.rows
        self.bytes += file.bytes
        self.raw_bytes += file.raw_bytes

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


class InputsTable:
    """The inputs' files on their way into the dataset.

    Args:
        store: The dataset that is being made.
        files: In order.

    Raises:
        StorageError: The storage fails."""

    def __init__(self, store: DatasetStore, files: Iterable[InputFile]) -> None:
        self.digest = InputsDigest()
        self._store = store
        self._file = store.files.create(store.temp_path(".parquet"))
        try:
            self._write(files)
            self._file.finish(sync=True)
        except BaseException:
            self._file.discard()
            raise

    def publish(self) -> None:
        """Put it into place. Raises CommitConflict where another one stands, StorageError."""
        self._store.publish(self._file.path, layout.INPUTS, self._file.sha256)

    def files(self) -> Iterator[InputFile]:
        """What it holds."""
        with open(self._file.path, "rb") as file:
            yield from _rows(file)

    def discard(self) -> None:
        """Drop it; fine after `publish` too."""
        self._file.discard()

    def _write(self, files: Iterable[InputFile]) -> None:
        with pq.ParquetWriter(
            pa.PythonFile(self._file, mode="w"),
            INPUTS_SCHEMA,
            version="2.6",
            compression="zstd",
            compression_level=3,
            write_page_checksum=True,
        ) as writer:
            for rows in _batched(files):
                for row in rows:
                    self.digest.add(row)
                arrays = [
                    pa.array([getattr(row, field.name) for row in rows], field.type)
                    for field in INPUTS_SCHEMA
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=INPUTS_SCHEMA))


def _batched(files: Iterable[InputFile]) -> Iterator[tuple[InputFile, ...]]:
    iterator = iter(files)
    while rows := tuple(itertools.islice(iterator, _ROWS_A_GROUP)):
        yield rows


def read_inputs(store: DatasetStore) -> Iterator[InputFile]:
    """The inputs' files; streamed. Raises PlanDamaged, StorageError."""
    try:
        with closing(store.open_input(layout.INPUTS)) as file:
            yield from _rows(file)
    except FileNotFoundError:
        raise PlanDamaged(f"{layout.INPUTS} is missing") from None
    except PARQUET_ERRORS as error:
        raise PlanDamaged(f"{layout.INPUTS} is damaged: {said(error)}") from error


def _rows(file: BinaryIO) -> Iterator[InputFile]:
    parquet = pq.ParquetFile(file, page_checksum_verification=True)
    if not parquet.schema_arrow.equals(INPUTS_SCHEMA):
        raise PlanDamaged(f"{layout.INPUTS}: its columns are not those of inputs")
    for batch in parquet.iter_batches(batch_size=_ROWS_A_GROUP):
        for row in batch.to_pylist():
            yield InputFile(**row)
