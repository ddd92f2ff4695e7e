"""A finished file on its way from this machine's temporary folder to an object store.

The digest that a commit record has is of the bytes as they were produced in memory. The temporary folder's
disk lies between them and the store: so what goes up is read back and held against that digest.
"""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from skyhaul.dataset.storage.errors import storage_error
from skyhaul.dataset.storage.files import LocalFiles

PUT_AT_ONCE = 32 * 1024 * 1024
"""Bytes up to which a file goes up in one request, out of memory: as many may be held for each shard that is
committed at the same time. Chosen, not measured."""

PARTS = {"chunksize": 16 * 1024 * 1024, "max_concurrency": 4}
"""How a large file goes up where the filesystem lets us say so: s3fs holds ten parts of 50 MiB otherwise.
Chosen, not measured."""


class Upload:
    """One file to be sent, once or again.

    A small file is sent out of the memory that was held against the digest. A large one the filesystem reads
    by itself, once more: it is synced first, so that a page that the disk did not take is told, and then read
    and held. Raises StorageError, also for a file that has other bytes.

    Args:
        fs: The fsspec filesystem.
        files: How local files are synced and read.
        local_path: The finished file.
        sha256: Of the bytes as they were produced."""

    def __init__(self, fs: Any, files: LocalFiles, local_path: Path, sha256: str) -> None:
        self._fs = fs
        self._path = local_path
        self._data: bytes | None = None
        try:
            if local_path.stat().st_size <= PUT_AT_ONCE or not _puts_files(fs):
                self._data = local_path.read_bytes()
        except OSError as error:
            raise storage_error(error, "read", local_path) from error
        if self._data is None:
            files.fsync(local_path)
            files.hold(local_path, sha256)
        elif hashlib.sha256(self._data).hexdigest() != sha256:
            raise files.rotten(local_path)

    def send(self, target: str, **how: Any) -> None:
        """Put the bytes at `target`, whole or not at all. Raises what the filesystem raises."""
        if self._data is not None:
            self._fs.pipe_file(target, self._data, **how)
        else:
            self._fs.put_file(str(self._path), target, **how, **_parts(self._fs))


def _puts_files(fs: Any) -> bool:
    """Whether large files can go up in parts under the same condition."""
    return bool(fs.async_impl) and takes_mode(fs, type(fs)._put_file)


def takes_mode(fs: Any, method: Any) -> bool:
    """Whether the method can be told to create without replacing."""
    # adlfs takes it among its other keywords.
    return "mode" in inspect.signature(method).parameters or type(fs).__module__.startswith("adlfs.")


def _parts(fs: Any) -> dict[str, int]:
    known = inspect.signature(type(fs)._put_file).parameters
    return PARTS if PARTS.keys() <= known.keys() else {}
