"""A sealed group: the commit records of 1,000 shards in one Parquet file, with their sums in its footer.

One row a shard, rising: `shard`, and `record`, the commit record's bytes as they were. Whoever wants only the
sums reads the footer. The key-value metadata `skyhaul` holds a `GroupSums` as JSON, `skyhaul.sha256` that
JSON's digest in hex; the sums hold a digest of the file's pages, and each record holds its own.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from pydantic import ValidationError

from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.errors import storage_error
from skyhaul.dataset.storage.files import NewFile
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.commit import CommitRecord, GroupSums
from skyhaul_schemas.errors import RecordDamaged, StorageError

SCHEMA = pa.schema(
    [pa.field("shard", pa.int32(), nullable=False), pa.field("record", pa.binary(), nullable=False)]
)
SUMS_KEY = b"skyhaul"
CHECK_KEY = b"skyhaul.sha256"
"""Keys in the footer's metadata: pages carry checksums of their own, a Parquet footer does not."""

_ROWS_A_GROUP = 100
"""So that a single record is read without all the others. Chosen, not measured."""

_FOOTER_CAP = 64 * 1024 * 1024
"""Bytes of a string in a footer. The sums name each damaged object by a number, and each split and link once;
what claims to be longer is none of ours. Chosen, not measured."""

_PIECE = 1024 * 1024
"""Bytes that are digested at once. Chosen, not measured."""

_PAGE_CAP = 64 * 1024 * 1024
"""Bytes that a page is unpacked to when records are looked for without a footer: zstd packs gigabytes of
zeros into a few kB, and what lies there may be anything."""

_RECORD = re.compile(rb'\{"shard":[^\n]{1,16777216}\}\n')
"""A record as it stands in a page: one line, which begins with its number, of 16 MiB at most. Chosen."""


class SealedGroup:
    """The group as it lies in `store`.

    Raises:
        FileNotFoundError: Where it is not sealed.
        RecordDamaged: Where it is not what was written.
        StorageError: The storage fails otherwise."""

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
            self._check_pages()
        except PARQUET_ERRORS as error:  # ValidationError is a ValueError
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
        """The commit record of one shard, as it was written. Raises RecordDamaged, StorageError."""
        return self.records_near(shard)[shard]

    def records_near(self, shard: int) -> dict[int, bytes]:
        """The commit records of `shard` and some others, which lie beside it.

        Raises:
            RecordDamaged: A record or sealed file is not what was written.
            StorageError: The storage fails otherwise."""
        found = self._rows((shard - layout.shards_of(self.group).start) // _ROWS_A_GROUP)
        if shard not in found:
            raise self._damaged(f"it does not hold shard {shard}")
        return found

    def records(self) -> dict[int, bytes]:
        """All commit records by shard, as they were written. Raises RecordDamaged, StorageError."""
        found: dict[int, bytes] = {}
        for rows in range(self._parquet.num_row_groups):
            found |= self._rows(rows)
        if list(found) != list(layout.shards_of(self.group)):
            raise self._damaged("it does not hold the shards of its group")
        return found

    def _rows(self, rows: int) -> dict[int, bytes]:
        try:
            table = self._parquet.read_row_group(rows, use_threads=False)
            numbers, records = table.column("shard").to_pylist(), table.column("record").to_pylist()
        except PARQUET_ERRORS as error:
            raise self._failed(error) from error
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

    def _check_pages(self) -> None:
        """Hold the pages against their digest, which is over them as they lie there: it costs no decoding."""
        # Versions before there was this digest wrote none.
        if self.sums.pages is None:
            return
        left, due = self.sums.pages
        digest = hashlib.sha256()
        self._file.seek(0)
        while left and (data := self._file.read(min(left, _PIECE))):
            digest.update(data)
            left -= len(data)
        if left or digest.hexdigest() != due:
            raise self._damaged("its records are not those that its footer was written for")

    def _failed(self, error: Exception) -> StorageError:
        if isinstance(error, OSError) and error.errno is not None:
            return storage_error(error, "read", f"{self._path} in dataset {self._place}")
        if isinstance(error, ValidationError):
            return self._damaged("its sums are none")
        return self._damaged(said(error))

    def _damaged(self, why: str) -> RecordDamaged:
        return RecordDamaged(f"{self._path} in dataset {self._place} is damaged: {why}")


def salvaged(store: DatasetStore, group: int) -> dict[int, bytes]:
    """What of a sealed file can still be read, by shard, to be judged.

    Raises:
        StorageError: Where the storage fails rather than the file."""
    found: dict[int, bytes] = {}
    try:
        with store.open_input(layout.sealed_file(group)) as file:
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            for rows in range(min(parquet.num_row_groups, len(layout.shards_of(group)))):
                try:
                    table = parquet.read_row_group(rows, columns=SCHEMA.names, use_threads=False)
                    numbers, records = (table.column(name).to_pylist() for name in SCHEMA.names)
                except PARQUET_ERRORS:
                    continue
                for number, record in zip(numbers, records, strict=True):
                    # Of what schema the columns are, nobody has checked.
                    if isinstance(number, int) and isinstance(record, bytes):
                        found.setdefault(number, record)
    except PARQUET_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise storage_error(error, "read", layout.sealed_file(group)) from error
    except RecordDamaged:
        return {}
    if len(found) < len(layout.shards_of(group)):
        found = {**_scanned(store.read_bytes(layout.sealed_file(group))), **found}
    return {number: record for number, record in found.items() if number in layout.shards_of(group)}


def _scanned(raw: bytes) -> dict[int, bytes]:
    """Records that prove themselves, by shard, found in the pages without a footer that says where they are.

    Each page is a zstd frame of its own, in which a record is a line."""
    found: dict[int, bytes] = {}
    at = raw.find(zstandard.FRAME_HEADER)
    while at >= 0:
        page = b""
        with suppress(zstandard.ZstdError, MemoryError):
            page = zstandard.ZstdDecompressor().stream_reader(raw[at:]).read(_PAGE_CAP)
        for line in _RECORD.finditer(page):
            with suppress(ValidationError):
                record = CommitRecord.model_validate_json(line[0])
                # One without a digest of its own could be any line that looks like a record.
                if record.digest is not None:
                    found.setdefault(record.shard, line[0])
        at = raw.find(zstandard.FRAME_HEADER, at + 1)
    return found


def sealed_groups(store: DatasetStore) -> list[int]:
    """The groups that are sealed, rising."""
    names = (path.rpartition("/")[2].removesuffix(".parquet") for path in store.list(layout.SEALED))
    return sorted(int(name) for name in names if name.isdecimal() and name == f"{int(name):04d}")


def is_sealed(store: DatasetStore, group: int) -> bool:
    return store.exists(layout.sealed_file(group))


def write_sealed(store: DatasetStore, records: Mapping[int, bytes], sums: GroupSums) -> NewFile:
    """The file of a full group, finished under a temporary name.

    Equal records give equal bytes.

    Raises:
        DiskFull: There is no room left.
        StorageError: The storage fails otherwise."""
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
            # No record is like another one, and the shard's number is in the statistics.
            use_dictionary=False,
            write_statistics=["shard"],
            write_page_checksum=True,
        )
        writer.write_table(table, row_group_size=_ROWS_A_GROUP)
        # All pages are written by now; what follows is the footer.
        sums = sums.model_copy(update={"pages": (file.bytes, file.sha256)})
        text = canonical_json(sums.model_dump(mode="json"))
        check = hashlib.sha256(text).hexdigest()
        writer.add_key_value_metadata({SUMS_KEY: text, CHECK_KEY: check})
        writer.close()
        file.finish(sync=True)
    except BaseException:
        file.discard()
        raise
    return file
