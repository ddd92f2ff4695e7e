"""A dataset's store: a local folder or any fsspec URL that can create without replacing.

Paths are those of `skyhaul_schemas.layout`: relative to the dataset, `/` between parts.
"""

from __future__ import annotations

import hashlib
import itertools
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from skyhaul.dataset.storage.files import LocalFiles
from skyhaul_schemas import layout
from skyhaul_schemas.errors import CommitConflict
from skyhaul_schemas.printable import printable

Same = Callable[[bytes, bytes], bool]
"""(standing, ours) -> whether the standing file says the same as ours."""

_BLOCK = 4 * 1024 * 1024
"""Bytes that are read at once. Chosen, not measured."""

_counter = itertools.count()
"""Numbers temporary names; `next` on it is one step under the interpreter's lock."""


class DatasetStore(ABC):
    """One dataset. Thread-safe, and picklable: the copy opens the same place again.

    Raises DiskFull and StorageError, also where the docstring does not say so.
    """

    local_root: Path | None
    """The folder, where the dataset is one on this machine."""

    files: LocalFiles
    """How local files are written: of the dataset where it is local, else of its temporary folder."""

    def __init__(self, url: str, writable: bool) -> None:
        self.url = url
        self.writable = writable

    def __reduce__(self) -> tuple[type[DatasetStore], tuple[str, bool, LocalFiles]]:
        # Connections, locks and temporary folders stay behind: they are of one process.
        return (type(self), (self.url, self.writable, LocalFiles()))

    @property
    def place(self) -> str:
        """The URL as messages may show it: without user info and query."""
        return shown(self.url)

    @abstractmethod
    def exists(self, path: str) -> bool: ...

    @abstractmethod
    def size(self, path: str) -> int:
        """The file's size in bytes. Raises FileNotFoundError."""

    @abstractmethod
    def read_bytes(self, path: str) -> bytes:
        """All bytes of a file. Raises FileNotFoundError."""

    @abstractmethod
    def open_input(self, path: str) -> BinaryIO:
        """A seekable file to read. Raises FileNotFoundError."""

    @abstractmethod
    def create_bytes(self, path: str, data: bytes, *, same: Same = operator.eq) -> bool:
        """Create a file, never replacing one. Durable once this returns.

        Returns:
            True: created. False: it stands already and says the `same`.

        Raises:
            CommitConflict: What stands there says otherwise."""

    @abstractmethod
    def replace_bytes(self, path: str, data: bytes) -> None:
        """Create or replace a file, in one step."""

    @abstractmethod
    def remove(self, path: str) -> None:
        """Remove a file, if it is there. After a power cut it may be back, unless its folder was synced."""

    @abstractmethod
    def sync_folder(self, path: str) -> None:
        """What was put directly into the folder `path` or taken from it lasts once this returns.

        By whomever it was done. Where there is no such folder, nothing happens."""

    @abstractmethod
    def publish(self, local_path: Path, path: str, sha256: str, *, keep: bool = False) -> bool:
        """Move a finished file of `temp_dir()` to `path`, never replacing one. Durable once this returns.

        Args:
            local_path: The finished file.
            path: Its place.
            sha256: Of the bytes as they were produced; what is put there is known to have it.
            keep: The temporary name stays.

        Returns:
            True: it is there now. False: a file with equal bytes stood there already.

        Raises:
            CommitConflict: A file with other bytes stands there; the temporary one stays."""

    @abstractmethod
    def replace_file(self, local_path: Path, path: str, sha256: str, aside: str) -> None:
        """Move a finished file of `temp_dir()`, held against `sha256`, to `path`, in one step.

        What stood there is kept as `aside`. There is no moment without a file at `path`, if there was one.
        Durable once this returns."""

    def set_aside(self, path: str, sha256: str) -> str | None:
        """Move the file at `path`, if it has digest `sha256`, to a name of its own below `set-aside`.

        Durable once this returns. An object store cannot move: there, what is put at `path` between the last
        look and the removal is lost.

        Returns:
            The name. None: the file is gone, or has other bytes, and stays."""
        # Looked at before the copy and after it: what has changed in between is not what was copied.
        try:
            if self.digest(path) != sha256:
                return None
            aside = self.aside_of(path)
            self.copy(path, aside)
            if self.digest(path) == sha256:
                self.remove(path)
                return aside
        except FileNotFoundError:
            return None
        self.remove(aside)
        return None

    def move_aside(self, path: str) -> str:
        """Move whatever is at `path` to a name below `set-aside` that nothing has, and return that name.

        A file is copied first, then removed. Durable once this returns. Raises FileNotFoundError."""
        copy = self.files.create(self.temp_path())
        try:
            with self.open_input(path) as file:
                while data := file.read(_BLOCK):
                    copy.write(data)
            copy.finish(sync=True)
        except BaseException:
            copy.discard()
            raise
        aside = self.aside_of(path)
        self.publish(copy.path, aside, copy.sha256)
        self.remove(path)
        return aside

    def digest(self, path: str) -> str:
        """Hex sha256 of the file at `path`. Raises FileNotFoundError."""
        sha256 = hashlib.sha256()
        with self.open_input(path) as file:
            while block := file.read(_BLOCK):
                sha256.update(block)
        return sha256.hexdigest()

    @abstractmethod
    def copy(self, path: str, target: str) -> None:
        """Create or replace `target` by what is at `path`, in one step. Durable once this returns.

        Raises FileNotFoundError."""

    @abstractmethod
    def temp_dir(self) -> Path:
        """A folder on this machine for files that will be published; this process's own."""

    @abstractmethod
    def list(self, prefix: str) -> Iterator[str]:
        """Paths of the files below the folder `prefix`, sorted, however deep; none where there is none.

        Temporary folders are left out."""

    @abstractmethod
    def folders(self, prefix: str) -> tuple[str, ...]:
        """Names of the folders directly in the folder `prefix`, sorted."""

    @abstractmethod
    def probe(self) -> None:
        """Create one key twice, and refuse a store that lets the second through.

        Raises:
            UsageError: The store cannot be written, or does not keep that promise."""

    @abstractmethod
    def close(self) -> None:
        """Drop this process's temporary folder. The store may be used again."""

    def temp_path(self, suffix: str = "") -> Path:
        """A name in `temp_dir()` that nothing else uses."""
        return self.temp_dir() / f"{next(_counter):08d}{suffix}"

    def aside_of(self, path: str) -> str:
        """An unused name below `set-aside` for what lies at `path`."""
        number = 0
        while self.exists(f"{layout.SET_ASIDE}/{path}.{number}"):
            number += 1
        return f"{layout.SET_ASIDE}/{path}.{number}"

    def conflict(self, path: str) -> CommitConflict:
        return CommitConflict(
            f"{path} in dataset {self.place} exists with other bytes: another plan or another encoder"
            " wrote it; `skyhaul verify` says what is wrong, `skyhaul replay --damaged` sets aside what is"
            " not of the plan"
        )


def shown(url: str) -> str:
    """`url` without user info, query and fragment, on one line."""
    if "://" not in url:
        return printable(url)
    parts = urlsplit(url)
    return printable(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")
