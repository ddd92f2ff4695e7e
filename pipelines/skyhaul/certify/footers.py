"""The footers of all data files: bounds, one schema, checksums on pages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.certify.page_headers import without_checksum
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas.job.shards import FILE_LIMIT, ROW_GROUP_LIMIT


@dataclass(slots=True)
class Footers:
    """Taken in file by file. Sizes are uncompressed bytes. Each list names files, with what is wrong."""

    files: int = 0
    row_groups: int = 0
    largest_group: int = 0
    largest_file: int = 0
    fingerprints: set[str] = field(default_factory=set)
    groups_too_large: list[str] = field(default_factory=list)
    files_too_large: list[str] = field(default_factory=list)
    without_checksums: list[str] = field(default_factory=list)

    def add(self, store: DatasetStore, path: str) -> None:
        """Raises StorageError, OSError and ArrowException for a file that cannot be read."""
        with store.open_input(path) as file:
            parquet = pq.ParquetFile(file)
            footer = parquet.metadata
            self.files += 1
            self.row_groups += footer.num_row_groups
            total = 0
            for index in range(footer.num_row_groups):
                group = footer.row_group(index)
                total += group.total_byte_size
                self.largest_group = max(self.largest_group, group.total_byte_size)
                # One row cannot be cut.
                if group.total_byte_size > ROW_GROUP_LIMIT and group.num_rows > 1:
                    self.groups_too_large.append(f"row group {index} of {path}")
            self.largest_file = max(self.largest_file, total)
            if total > FILE_LIMIT and footer.num_row_groups > 1:
                self.files_too_large.append(path)
            self.fingerprints.add(schema_fingerprint(parquet.schema_arrow, parquet.schema))
            bare = without_checksum(file, footer)
            if bare is not None:
                self.without_checksums.append(f"{bare} of {path}")


def schema_fingerprint(arrow: pa.Schema, parquet: pq.ParquetSchema) -> str:
    """sha256 of the Parquet schema with its logical types, and of the Arrow schema that it stands for."""
    lines = [f"{column}" for column in (parquet.column(i) for i in range(len(parquet)))]
    return hashlib.sha256("\n".join([*lines, str(arrow)]).encode()).hexdigest()
