"""A sealed group: the commit records of 1,000 shards in one Parquet file, with their sums in its footer.

One row a shard, rising: `shard`, and `record`, the commit record's bytes as they were. Whoever wants only the
sums reads the footer. The key-value metadata `skyhaul` holds a `GroupSums` as JSON, `skyhaul.sha256` that
JSON's digest in hex; pages carry checksums of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from skyhaul.dataset.files import NewFile
from skyhaul.dataset.storage_errors import storage_error
from skyhaul.dataset.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.commit import GroupSums
from skyhaul_schemas.digested import canonical_json
from skyhaul_schemas.errors import RecordDamaged, StorageError
from skyhaul_schemas.printable import printable

SCHEMA = pa.schema(
    [pa.field("shard", pa.int32(), nullable=False), pa.field("record", pa.binary(), nullable=False)]
)
SUMS_KEY = b"skyhaul"
CHECK_KEY = b"skyhaul.sha256"

_ROWS_A_GROUP = 100
"""So that a single record is read without all the others."""
_FOOTER_CAP = 64 * 1024 * 1024


class SealedGroup:
    """The group as it lies in `store`. Raises FileNotFoundError where it is not sealed, StorageError."""

    def __init__(self, store: DatasetStore, group: int) -> None:
        self.group = group
        self._path = layout.sealed_file(group)
        self._place = store.place
        self._file: BinaryIO = store.open_input(self._path)
        try:
            self._parquet = pq.ParquetFile(
                self._file,
                page_checksum_verification=True,
                thrift_string_size_limit=_FOOTER_CAP,
                thrift_container_size_limit=1_000_000,
            )
            self.sums = self._read_sums()
        except (pa.ArrowException, OSError, ValidationError) as error:
            self._file.close()
            raise self._failed(error) from error
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._parquet.close(force=True)
        self._file.close()

    def __enter__(self) -> SealedGroup:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def record(self, shard: int) -> bytes:
        """The commit record of one shard, as it was written. Raises StorageError."""
        return self.records_near(shard)[shard]

    def records_near(self, shard: int) -> dict[int, bytes]:
        """The commit records of `shard` and some others, which lie beside it. Raises StorageError."""
        found = self._rows((shard - layout.shards_of(self.group).start) // _ROWS_A_GROUP)
        if shard not in found:
            raise self._damaged(f"it does not hold shard {shard}")
        return found

    def records(self) -> dict[int, bytes]:
        """All commit records by shard, as they were written. Raises StorageError."""
        found: dict[int, bytes] = {}
        for rows in range(self._parquet.num_row_groups):
            found |= self._rows(rows)
        if list(found) != list(layout.shards_of(self.group)):
            raise self._damaged("it does not hold the shards of its group")
        return found

    def _rows(self, rows: int) -> dict[int, bytes]:
        try:
            table = self._parquet.read_row_group(rows, use_threads=False)
        except (pa.ArrowException, OSError, IndexError) as error:
            raise self._failed(error) from error
        numbers, records = table.column("shard").to_pylist(), table.column("record").to_pylist()
        return dict(zip(numbers, records, strict=True))

    def _read_sums(self) -> GroupSums:
        extra = self._parquet.metadata.metadata or {}
        text = extra.get(SUMS_KEY, b"")
        if hashlib.sha256(text).hexdigest().encode() != extra.get(CHECK_KEY):
            raise self._damaged("its sums do not match their checksum")
        sums = GroupSums.model_validate_json(text)
        if sums.group != self.group or self._parquet.metadata.num_rows != len(layout.shards_of(self.group)):
            raise self._damaged("it is not of its group")
        if not self._parquet.schema_arrow.equals(SCHEMA):
            raise self._damaged("its columns are not those of a sealed group; another version wrote it")
        return sums

    def _failed(self, error: Exception) -> StorageError:
        if isinstance(error, OSError) and error.errno is not None:
            return storage_error(error, "read", f"{self._path} in dataset {self._place}")
        return self._damaged(printable(str(error).partition("\n")[0]))

    def _damaged(self, why: str) -> StorageError:
        return RecordDamaged(
            f"{self._path} in dataset {self._place} is damaged: {why}; restore it from a copy of the dataset"
        )


def sealed_groups(store: DatasetStore) -> list[int]:
    """The groups that are sealed, rising."""
    names = (path.rpartition("/")[2].removesuffix(".parquet") for path in store.list(layout.SEALED))
    return sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):04d}")


def is_sealed(store: DatasetStore, group: int) -> bool:
    return store.exists(layout.sealed_file(group))


def write_sealed(store: DatasetStore, records: Mapping[int, bytes], sums: GroupSums) -> NewFile:
    """The file of a full group, finished under a temporary name. Equal records give equal bytes.
    Raises DiskFull or StorageError."""
    text = canonical_json(sums.model_dump())
    check = hashlib.sha256(text).hexdigest()
    numbers = sorted(records)
    table = pa.table([numbers, [records[number] for number in numbers]], schema=SCHEMA)
    file = store.files.create(store.temp_path(".parquet"))
    try:
        writer = pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            SCHEMA,
            version="2.6",
            compression="zstd",
            compression_level=3,
            use_dictionary=False,
            write_statistics=["shard"],
            write_page_checksum=True,
        )
        writer.write_table(table, row_group_size=_ROWS_A_GROUP)
        writer.add_key_value_metadata({SUMS_KEY: text, CHECK_KEY: check})
        writer.close()
        file.finish(sync=True)
    except BaseException:
        file.discard()
        raise
    return file
