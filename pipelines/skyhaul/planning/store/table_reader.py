"""A Parquet file of the plan, opened with suspicion: size-capped, of the exact schema, row group by group."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.errors import storage_error
from skyhaul.planning.store.table_writer import CHECK_KEY, HEADER_KEY
from skyhaul_schemas.errors import PlanDamaged, StorageError

FOOTER_CAP = 128 * 1024 * 1024
"""Bytes; ten million chunks have a footer of about 1 MB. A plan file may come from anyone, so that
sizes are held against caps before memory is given to them."""

GROUP_ROWS_CAP = 65_536
GROUP_BYTES_CAP = 256 * 1024 * 1024
"""Rows and uncompressed bytes of a row group. Ours have ROWS_A_GROUP rows of about a MiB; what a larger one
unpacks to is memory that somebody else would choose."""

HEADER_CAP = 16 * 1024 * 1024
"""Bytes of the JSON in a footer. It holds counts by source and some paths, a few kB. Chosen, not measured."""

_MAGIC = b"PAR1"


class PlanTable:
    """`file` as a table of `schema`.

    Args:
        name: For messages.

    Attributes:
        header: The JSON text that the file carries.
        bounds: Least and greatest `shard` of each row group, where there is such a column."""

    def __init__(self, file: BinaryIO, schema: pa.Schema, name: str) -> None:
        self._name = name
        self._schema = schema
        self._check_footer(file)
        try:
            self._parquet = pq.ParquetFile(
                file,
                page_checksum_verification=True,
                thrift_string_size_limit=HEADER_CAP,
                thrift_container_size_limit=4_000_000,
            )
            self._metadata = self._parquet.metadata
            proper = self._parquet.schema_arrow.equals(schema)
            self.groups: int = self._metadata.num_row_groups
            self.total: int = self._metadata.num_rows
            extra = self._metadata.metadata or {}
        except PARQUET_ERRORS as error:
            raise self._failed(error) from error
        # Not only names and types: a column that may be null where ours may not would fail elsewhere.
        if not proper:
            raise PlanDamaged(f"{name}: its columns are not those of a plan; another version wrote it")
        self.header: bytes = extra.get(HEADER_KEY, b"")
        if hashlib.sha256(self.header).hexdigest().encode() != extra.get(CHECK_KEY):
            raise PlanDamaged(f"{name}: its header does not match its checksum")
        # Statistics are no proof, but they choose the row groups that are read: each row is held against them
        # by where it stands (`Generation.shards`).
        self.bounds = [self._bounds(group) for group in range(self.groups)] if "shard" in schema.names else []
        if any(a[1] > b[0] for a, b in zip(self.bounds, self.bounds[1:], strict=False)):
            raise PlanDamaged(f"{name}: its rows are not in the order of shards")

    def read(self, group: int, columns: list[str] | None = None) -> pa.Table:
        """One row group. Raises PlanDamaged or StorageError."""
        try:
            facts = self._metadata.row_group(group)
            too_large = facts.num_rows > GROUP_ROWS_CAP or facts.total_byte_size > GROUP_BYTES_CAP
            if not too_large:
                return self._parquet.read_row_group(group, columns=columns, use_threads=False)
        except PARQUET_ERRORS as error:
            raise self._failed(error) from error
        raise PlanDamaged(f"{self._name}: row group {group} is larger than any that skyhaul writes")

    def rows(self, group: int) -> Iterator[dict[str, Any]]:
        table = self.read(group)
        try:
            rows: list[dict[str, Any]] = table.to_pylist()
        except PARQUET_ERRORS as error:
            raise self._failed(error) from error
        yield from rows

    def close(self) -> None:
        self._parquet.close(force=True)

    def _check_footer(self, file: BinaryIO) -> None:
        """Hold the footer's length against a cap before Arrow gives memory to it.

        A Parquet file ends in that length (4 bytes, little-endian) and a magic number
        (https://parquet.apache.org/docs/file-format/)."""
        try:
            size = file.seek(0, 2)
            file.seek(max(0, size - 8))
            tail = file.read(8)
            file.seek(0)
        except OSError as error:
            raise self._failed(error) from error
        footer = int.from_bytes(tail[:4], "little")
        if len(tail) < 8 or tail[4:] != _MAGIC or footer > min(FOOTER_CAP, size):
            raise PlanDamaged(f"{self._name}: it is no whole Parquet file")

    def _bounds(self, group: int) -> tuple[int, int]:
        try:
            statistics = self._metadata.row_group(group).column(0).statistics
            if statistics is not None and statistics.has_min_max:
                return int(statistics.min), int(statistics.max)
        except PARQUET_ERRORS as error:
            raise self._failed(error) from error
        raise PlanDamaged(f"{self._name}: row group {group} has no statistics")

    def _failed(self, error: Exception) -> PlanDamaged | StorageError:
        text = said(error)
        # Arrow reports rotten pages as OSError too, but only the system gives it a number.
        if isinstance(error, OSError) and error.errno is not None:
            return storage_error(error, "read", self._name)
        return PlanDamaged(f"{self._name} is damaged: {text}")
