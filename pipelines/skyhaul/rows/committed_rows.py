"""A dataset opened for its rows.

Commit records decide what is read, not listings. Each file is held against its record before a row of it is
given out: by size, schema and number of rows, its pages by their checksums; by sha256 where that is asked
for, which reads the file once more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.commits.record_files import CommitReader
from skyhaul.dataset.commits.valid_commits import valid_commits
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.dataset.intact import fault_in_file
from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.commit import CommitRecord, CommittedFile
from skyhaul_schemas.errors import RecordDamaged
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import planned_schema, shard_schema
from skyhaul_schemas.storage_errors import passing_raised

BATCH_ROWS = 4096
"""Rows of a batch; large ones are bounded by their row group. Chosen, not measured."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that lie one after the other in a file of a shard."""

    shard: int
    split: str
    batch: pa.RecordBatch


class CommittedRows:
    """A dataset's plan, commit records and rows. Not safe among threads.

    Args:
        dataset: Path or URL.

    Attributes:
        schema: The Arrow schema of its rows.

    Raises:
        UsageError: There is no dataset, or it has no plan.
        PlanDamaged: The plan is not what was written.
        StorageError: The storage fails otherwise."""

    def __init__(self, dataset: str) -> None:
        self.store = open_store(dataset, writable=False)
        try:
            self.plan = Plan.open(self.store)
        except BaseException:
            self.store.close()
            raise
        self.schema: pa.Schema = shard_schema(planned_schema(self.plan.header.job["schema"]))
        self._reader = CommitReader(self.store)
        self._validator = CommitValidator(self.plan)

    def close(self) -> None:
        """End it; what was opened is closed."""
        self._reader.close()
        self.plan.close()
        self.store.close()

    def records(self) -> Iterator[CommitRecord]:
        """The commit records that stand, by shard. Raises RecordDamaged, StorageError."""
        return valid_commits(self.plan, self.store)

    def record(self, shard: int, plan: str = "") -> CommitRecord:
        """The commit record of one shard.

        Args:
            shard: Its number.
            plan: The digest that the record is of; empty: whichever counts now.

        Raises:
            RecordDamaged: There is none that stands, or it is of another plan.
            StorageError: The storage fails otherwise."""
        where = f"shard {shard} of dataset {self.store.place}"
        data = self._reader.data(shard)
        if data is None:
            raise RecordDamaged(f"{where} is not committed, though it was told to be; run `skyhaul verify`")
        verdict = self._validator.validated(shard, data)
        if verdict.record is None:
            why = verdict.fault.why if verdict.fault else "it says nothing"
            raise RecordDamaged(f"{where}: its commit record does not stand: {why}; run `skyhaul verify`")
        if plan and verdict.record.plan != plan:
            raise RecordDamaged(
                f"{where} is of plan {verdict.record.plan[:16]}, and was told to be of {plan[:16]}; the plan"
                " was amended meanwhile: read the dataset again"
            )
        return verdict.record

    def stretches(
        self,
        record: CommitRecord,
        columns: Sequence[str] | None = None,
        *,
        digests: bool = False,
        split: str | None = None,
    ) -> Iterator[Stretch]:
        """The rows of a shard, in the order of its files.

        Args:
            record: Its commit record.
            columns: Those of the dataset's schema that are read; None: all.
            digests: Whether each file is held against its sha256 first.
            split: Only the rows of this one.

        Raises:
            RecordDamaged: A file is not as its commit record says.
            StorageError: The storage fails otherwise."""
        for entry in record.files:
            match = DATA_FILE.fullmatch(entry.path)
            if match is None:  # a record that stands names its files properly
                raise self._damaged(entry, "it has no name of a shard's file")
            if split is not None and match[2] != split:
                continue
            fault = fault_in_file(self.store, entry) if digests else self._other_size(entry)
            if fault is not None:
                raise self._damaged(entry, fault)
            for batch in self._batches(entry, columns):
                yield Stretch(record.shard, match[2], batch)

    def _other_size(self, entry: CommittedFile) -> str | None:
        try:
            size = self.store.size(entry.path)
        except FileNotFoundError:
            return "it is gone"
        return None if size == entry.bytes else f"it has {size} bytes, its commit record says {entry.bytes}"

    def _batches(self, entry: CommittedFile, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with self._reading(entry), closing(self.store.open_input(entry.path)) as file:
            with passing_raised(f"cannot read {entry.path}"):
                parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
            if not parquet.schema_arrow.equals(self.schema):
                raise self._damaged(entry, "its schema is not the dataset's")
            if parquet.metadata.num_rows != entry.rows:
                held = parquet.metadata.num_rows
                raise self._damaged(entry, f"it holds {held} rows, its commit record says {entry.rows}")
            # Group by group, because a batch across row groups of large rows would not be bounded.
            for group in range(parquet.num_row_groups):
                # Arrow leaves the columns in the file's own order, whatever order is asked for.
                yield from parquet.iter_batches(
                    batch_size=BATCH_ROWS, row_groups=[group], columns=None if columns is None else [*columns]
                )

    @contextmanager
    def _reading(self, entry: CommittedFile) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise self._damaged(entry, "it is gone") from None
        except PARQUET_ERRORS as error:
            raise self._damaged(entry, said(error)) from error

    def _damaged(self, entry: CommittedFile, why: str) -> RecordDamaged:
        return RecordDamaged(
            f"{printable(entry.path)} in dataset {self.store.place} is damaged: {why};"
            " `skyhaul replay --damaged` mends it"
        )


def splits_of(record: CommitRecord) -> set[str]:
    """The splits that the shard's files are of."""
    return {match[2] for file in record.files if (match := DATA_FILE.fullmatch(file.path))}
