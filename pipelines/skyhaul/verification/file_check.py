"""One committed file against its entry: there, of its size, digest and counts, Parquet of the one schema."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas.commit import CommittedFile
from skyhaul_schemas.errors import EXIT_INCOMPLETE, StorageError
from skyhaul_schemas.storage_errors import passing_raised

_BLOCK = 4 * 1024 * 1024
"""Bytes that are read at once. Chosen, not measured."""

Read = Callable[[int], None]
"""Called with the bytes just digested."""


def check_file(
    store: DatasetStore,
    entry: CommittedFile,
    schema: pa.Schema,
    shard: int,
    report: VerifyReport,
    read: Read,
) -> bool:
    """Add findings for what is wrong with the file. True: its rows can be read."""

    def add(code: str, message: str) -> None:
        report.add(code, f"{entry.path}: {message}", path=entry.path, shard=shard)

    report.files += 1
    # The size first: it costs no reading, and says more than a digest that differs.
    try:
        size = store.size(entry.path)
        if size != entry.bytes:
            add("file-size", f"it has {size} bytes, its commit record says {entry.bytes}")
        elif _digest(store, entry.path, read) != entry.sha256:
            add("file-digest", "its sha256 is not the one of its commit record: bytes have changed")
        # Bytes that have changed may still be a table: its rows are looked at all the same, for they say
        # more.
        return _check_footer(store, entry, schema, add)
    except FileNotFoundError:
        add("file-missing", f"it is gone; shard {shard} was committed with it")
    except StorageError as error:
        if error.exit_code == EXIT_INCOMPLETE or isinstance(error.__cause__, PermissionError):
            raise  # it says nothing of the file
        add("file-unreadable", f"it cannot be read: {said(error)}")
    except OSError as error:
        add("file-unreadable", f"it cannot be read: {said(error)}")
    return False


def _digest(store: DatasetStore, path: str, read: Read) -> str:
    digest = hashlib.sha256()
    with store.open_input(path) as file, passing_raised(f"cannot read {path}"):
        while block := file.read(_BLOCK):
            digest.update(block)
            read(len(block))
    return digest.hexdigest()


def _check_footer(
    store: DatasetStore, entry: CommittedFile, schema: pa.Schema, add: Callable[[str, str], None]
) -> bool:
    with store.open_input(entry.path) as file:
        try:
            with passing_raised(f"cannot read {entry.path}"):
                parquet = pq.ParquetFile(file)
            found, footer = parquet.schema_arrow, parquet.metadata
            raw = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
        except PARQUET_ERRORS as error:
            add("file-unreadable", f"it cannot be read as Parquet: {said(error)}")
            return False
        if not found.equals(schema):
            add("schema-differs", f"its schema is not the dataset's: {_schema_difference(found, schema)}")
            return False
    if footer.num_rows != entry.rows:
        add("counts-differ", f"it holds {footer.num_rows} rows, its commit record says {entry.rows}")
    if raw != entry.raw_bytes:
        add("counts-differ", f"it holds {raw} raw bytes, its commit record says {entry.raw_bytes}")
    return True


def _schema_difference(found: pa.Schema, schema: pa.Schema) -> str:
    for field in schema:
        index = found.get_field_index(field.name)
        if index < 0:
            return f"column {field.name} is missing"
        if not found.field(index).equals(field):
            return f"column {field.name} is {found.field(index).type}, not {field.type}"
    return "it has other columns, or in another order"
