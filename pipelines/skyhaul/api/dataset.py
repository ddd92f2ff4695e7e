"""`skyhaul.Dataset`: a dataset that was hauled, to read: its plan, shards, rows, and what was not taken.

What counts are the commit records that stand: rows come from the files that they name, in their order, and
from no other file, however it got there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.api.errors import as_ours
from skyhaul.api.results import PlanSummary
from skyhaul.api.target import open_folder
from skyhaul.dataset.commits.sealed import is_sealed
from skyhaul.dataset.commits.valid_commits import records_of, valid_commits, validated_group
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.planning.store.plan import Plan
from skyhaul.report.plan import PlanReport
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, CommittedFile, RecordCounts
from skyhaul_schemas.errors import DataDamaged, SkyhaulError, UsageError
from skyhaul_schemas.records import REJECTS_SCHEMA, shard_schema
from skyhaul_schemas.storage_errors import of_environment

PROVENANCE_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("object", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("shard", pa.int64(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
    ]
)
"""What `Dataset.provenance` gives."""

_BATCH_ROWS = 65536
"""Of a batch at most; the row group bounds it too, and that has a size in bytes."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One Parquet file of a shard.

    Attributes:
        path: Below the dataset.
        split: The one that its rows are of; None of rejects.
        bytes: Its size.
        sha256: Of its bytes, in hex.
        rows: How many.
    """

    path: str
    split: str | None
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class CommittedShard:
    """A shard that is committed.

    Attributes:
        number: Its number.
        source: Its source's name.
        plan: Digest of the generation of the plan that it is of.
        files: Its data files, by split and part.
        rejects: The file of what could not be taken; None: there was nothing.
        records: What became of each record that was read.
        filtered_by: Rule -> records that it took out.
        passed_over_by: Reason -> records that are none by their kind.
    """

    number: int
    source: str
    plan: str
    files: tuple[DataFile, ...]
    rejects: DataFile | None
    records: RecordCounts
    filtered_by: dict[str, int]
    passed_over_by: dict[str, int]


class Dataset:
    """A dataset, opened to read; a context that closes it.

        with Dataset("out/stdlib") as dataset:
            for batch in dataset.rows(columns=["id", "text"], split="train"):
                ...

    The plan is that of the moment in which it was opened; shards that a haul commits later are seen. Files
    are taken for what their commit records say; `skyhaul.verify(dataset, deep=True)` proves it.

    Args:
        url: The folder's path, or an fsspec URL.

    Attributes:
        url: As given.
        place: The same as messages may show it, without secrets.
        schema: The columns of its rows.
        splits: The names of its splits, sorted.
        plan: Its plan, in counts.

    Raises:
        SkyhaulError: There is no dataset or no plan, or it cannot be read.
    """

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        with as_ours():
            self._store = open_folder(self.url)
            try:
                self._plan = Plan.open(self._store)
            except BaseException:
                self._store.close()
                raise
        header = self._plan.header
        self.place: str = self._store.place
        self.schema: pa.Schema = shard_schema(header.job["schema"])
        self.splits: tuple[str, ...] = tuple(sorted(header.job["shards"]["splits"]))
        found = PlanReport.of(header, dataset=self.place, target=self.place, fresh=False, via={}, rates={})
        told = found.to_json()
        # A dataset does not know its links: a job names them, and may name others by now.
        del told["fresh"]
        for source in told["sources"].values():
            del source["links"], source["seconds_at_least"]
        self.plan: PlanSummary = PlanSummary.of(told)

    def __repr__(self) -> str:
        return f"Dataset({self.place!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its files. What was read stays valid."""
        self._plan.close()
        self._store.close()

    def shards(self, numbers: Iterable[int] | None = None) -> Iterator[CommittedShard]:
        """The committed shards, by number; streamed.

        Args:
            numbers: Only these; one that is not committed is refused.

        Raises:
            SkyhaulError: A shard is not committed, or the dataset cannot be read.
        """
        with as_ours():
            for record in self._records(numbers):
                yield _shard(record)

    def rows(
        self,
        *,
        columns: Sequence[str] | None = None,
        split: str | None = None,
        shards: Iterable[int] | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """The rows, in the order of their shards and files, in batches of a row group at most.

        Args:
            columns: Only these, in this order; `provenance` among them says where a row came from.
            split: Only its rows.
            shards: Only theirs; one that is not committed is refused.

        Raises:
            SkyhaulError: There is no such column, split or shard, or a file is damaged.
        """
        wanted = self.schema.names if columns is None else list(columns)
        self._check("column", wanted, self.schema.names)
        self._check("split", [] if split is None else [split], self.splits)
        schema = pa.schema([self.schema.field(name) for name in wanted])
        for _, file in self._files(split, shards):
            yield from self._read(file, self.schema, schema)

    def provenance(
        self, *, split: str | None = None, shards: Iterable[int] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """Where each row came from and where it lies, in the order of `rows`.

        Columns are `id`, `source`, `object`, `version`, `offset` and `length` (bytes of the object, or of
        its decompressed stream), `shard`, `split` and `file`.

        Args:
            split: Only its rows.
            shards: Only theirs; one that is not committed is refused.

        Raises:
            SkyhaulError: There is no such split or shard, or a file is damaged.
        """
        self._check("split", [] if split is None else [split], self.splits)
        wanted = pa.schema([self.schema.field("id"), self.schema.field("provenance")])
        for shard, file in self._files(split, shards):
            for batch in self._read(file, self.schema, wanted):
                place = batch.column("provenance")
                count = batch.num_rows
                arrays = [
                    batch.column("id"),
                    *(place.field(name) for name in ("source", "object", "version", "offset", "length")),
                    pa.repeat(pa.scalar(shard, pa.int64()), count),
                    pa.repeat(pa.scalar(file.split, pa.string()), count),
                    pa.repeat(pa.scalar(file.path, pa.string()), count),
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=PROVENANCE_SCHEMA)

    def rejects(self, *, shards: Iterable[int] | None = None) -> Iterator[pa.RecordBatch]:
        """What could not be taken, in the order of its shards.

        Columns are `source`, `object`, `offset`, `length`, `reason` and `raw` (its first 4,096 bytes).

        Args:
            shards: Only theirs; one that is not committed is refused.

        Raises:
            SkyhaulError: There is no such shard, or a file is damaged.
        """
        with as_ours():
            for record in self._records(shards):
                if record.rejects is not None:
                    yield from self._read(_file(record.rejects), REJECTS_SCHEMA, REJECTS_SCHEMA)

    def _files(self, split: str | None, shards: Iterable[int] | None) -> Iterator[tuple[int, DataFile]]:
        with as_ours():
            for record in self._records(shards):
                for file in map(_file, record.files):
                    if split is None or file.split == split:
                        yield record.shard, file

    def _records(self, numbers: Iterable[int] | None) -> Iterator[CommitRecord]:
        if numbers is None:
            yield from valid_commits(self._plan, self._store)
            return
        wanted = sorted(set(numbers))
        validator = CommitValidator(self._plan)
        for group in sorted({layout.group_of(number) for number in wanted}):
            sealed = is_sealed(self._store, group)
            found = validated_group(validator, self._store, group, sealed=sealed)
            records = {record.shard: record for record in records_of(validator, self._store, found)}
            for number in wanted:
                if layout.group_of(number) == group:
                    if number not in records:
                        raise UsageError(f"shard {number} of dataset {self.place} is not committed")
                    yield records[number]

    def _read(self, file: DataFile, whole: pa.Schema, wanted: pa.Schema) -> Iterator[pa.RecordBatch]:
        try:
            with closing(self._store.open_input(file.path)) as opened:
                size = opened.seek(0, os.SEEK_END)
                if size != file.bytes:
                    raise self._damaged(file, f"it has {size} bytes, and was committed with {file.bytes}")
                parquet = pq.ParquetFile(opened, page_checksum_verification=True)
                if not parquet.schema_arrow.equals(whole) or parquet.metadata.num_rows != file.rows:
                    raise self._damaged(file, "it is not what was committed")
                for group in range(parquet.metadata.num_row_groups):
                    for batch in parquet.iter_batches(
                        _BATCH_ROWS, row_groups=[group], columns=wanted.names, use_threads=False
                    ):
                        yield batch.select(wanted.names)
        except FileNotFoundError as error:
            raise self._damaged(file, "it is gone") from error
        except PARQUET_ERRORS as error:
            found = of_environment(error)
            if found is not None:
                raise found from error
            raise self._damaged(file, said(error)) from error

    def _damaged(self, file: DataFile, why: str) -> SkyhaulError:
        return DataDamaged(
            f"{file.path} in dataset {self.place}: {why}; `skyhaul replay --damaged` hauls it again"
        )

    def _check(self, what: str, named: Sequence[str], allowed: Sequence[str]) -> None:
        unknown = [name for name in named if name not in allowed]
        if unknown:
            raise UsageError(f"{what}: found {unknown[0]!r}, allowed: {', '.join(allowed)}")


def _shard(record: CommitRecord) -> CommittedShard:
    return CommittedShard(
        number=record.shard,
        source=record.source,
        plan=record.plan,
        files=tuple(map(_file, record.files)),
        rejects=None if record.rejects is None else _file(record.rejects),
        records=record.records,
        filtered_by=dict(record.filtered_by),
        passed_over_by=dict(record.passed_over_by),
    )


def _file(entry: CommittedFile) -> DataFile:
    match = DATA_FILE.fullmatch(entry.path)
    split = match[2] if match else None
    return DataFile(entry.path, split, entry.bytes, entry.sha256, entry.rows)
