"""A dataset on an object store, through fsspec.

A create is a conditional put (`mode="create"`: If-None-Match on S3, ifGenerationMatch on GCS). When its
answer is lost, what stands there is read back: unknown never means delete, nor another name.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import io
import operator
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
from fsspec.asyn import AsyncFileSystem
from tenacity import (
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from skyhaul.dataset.storage.errors import probe_error, storage_error
from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.store import DatasetStore, Same, shown
from skyhaul.dataset.storage.temporary import OwnTemporary, clear_leftovers
from skyhaul.dataset.storage.upload import Upload, takes_mode
from skyhaul_connectors.sources.fsspec.errors import is_not_set_up, store_words
from skyhaul_schemas import layout
from skyhaul_schemas.errors import StorageError, StorageRefused, UsageError
from skyhaul_schemas.printable import printable

T = TypeVar("T")

_ATTEMPTS = 5
_SECONDS = 15.0
"""Tries of a call, and seconds after which none begins; the filesystem's own come on top. Chosen."""
_READ_BLOCK = 8 * 1024 * 1024
REPLACING = frozenset(("sftp", "ssh", "ftp"))
"""Refused before anything connects: fsspec trusts whichever key an SSH server shows."""


class _AnswerLost(Exception):
    """A store call that may or may not have happened; tried again after a look."""


class RemoteStore(DatasetStore):
    """A dataset behind an fsspec filesystem. A call is tried five times, and again for 15 seconds at most.

    The filesystem's own retries come on top."""

    def __init__(self, url: str, writable: bool, files: LocalFiles) -> None:
        super().__init__(url, writable)
        self.local_root = None
        self.files = files
        if "::" in url:
            raise UsageError(f"dataset {shown(url)}: chained URLs cannot hold a dataset")
        if writable and url.partition("://")[0].lower() in REPLACING:
            raise _replaces(url)
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise UsageError(f"dataset {shown(url)} cannot be opened: {printable(str(error))}") from error
        self._root = root.rstrip("/")
        self._temporary = OwnTemporary(_own_folder)
        if writable and not _creates_only(self._fs):
            raise _replaces(url)
        if writable:
            with suppress(OSError):
                clear_leftovers(_own_folder())

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def exists(self, path: str) -> bool:
        def found() -> bool:
            # Not `isfile`: it takes every error for a no.
            self._fs.invalidate_cache()
            try:
                return bool(self._fs.info(self._at(path))["type"] == "file")
            except FileNotFoundError:
                return False

        return self._call("look for", path, found)

    def size(self, path: str) -> int:
        def found() -> int:
            # A listing kept from before would hide a file that was created since.
            self._fs.invalidate_cache()
            return int(self._fs.size(self._at(path)))

        return self._call("look at", path, found)

    def read_bytes(self, path: str) -> bytes:
        return self._call("read", path, lambda: bytes(self._fs.cat_file(self._at(path))))

    def open_input(self, path: str) -> BinaryIO:
        def opened() -> Any:
            return self._fs.open(self._at(path), "rb", block_size=_READ_BLOCK)

        return cast(
            BinaryIO, io.BufferedReader(_RemoteInput(self._call("read", path, opened), self._named(path)))
        )

    def create_bytes(self, path: str, data: bytes, *, same: Same = operator.eq) -> bool:
        def put() -> None:
            self._fs.pipe_file(self._at(path), data, mode="create")

        return self._create(path, put, lambda: same(self._fs.cat_file(self._at(path)), data))

    def publish(self, local_path: Path, path: str, sha256: str, *, keep: bool = False) -> bool:
        upload = Upload(self._fs, self.files, local_path, sha256)

        def put() -> None:
            upload.send(self._at(path), mode="create")

        created = self._create(path, put, lambda: self._digest(path) == sha256)
        if not keep:
            self.files.unlink(local_path)
        return created

    def replace_file(self, local_path: Path, path: str, sha256: str, aside: str) -> None:
        upload = Upload(self._fs, self.files, local_path, sha256)

        def copy() -> None:
            self._fs.invalidate_cache()
            if self._fs.exists(self._at(path)):
                self._fs.cp_file(self._at(path), self._at(aside))

        self._call("copy", path, copy)
        self._call("write", path, lambda: upload.send(self._at(path)))
        self.files.unlink(local_path)

    def copy(self, path: str, target: str) -> None:
        self._call("copy", path, lambda: self._fs.cp_file(self._at(path), self._at(target)))

    def _create(self, path: str, put: Callable[[], None], stands: Callable[[], bool]) -> bool:
        """A conditional put. `stands` compares what is there with ours; it raises FileNotFoundError."""

        def attempt() -> bool:
            lost: BaseException | None = None
            try:
                put()
                return True
            except FileExistsError:
                pass
            except PermissionError:
                raise
            except _foreign_errors() as error:
                lost = None if _stands_already(error) else error
            try:
                equal = stands()
            except FileNotFoundError:
                # Not there after all; or there, when the put was refused, and gone since.
                raise _AnswerLost from lost
            if not equal:
                raise self.conflict(path)
            # Equal bytes after an answer that was lost are taken for ours: created.
            return lost is not None

        return self._call("create", path, attempt)

    def replace_bytes(self, path: str, data: bytes) -> None:
        self._call("write", path, lambda: self._fs.pipe_file(self._at(path), data))

    def remove(self, path: str) -> None:
        def removed() -> None:
            try:
                self._fs.rm_file(self._at(path))
            except FileNotFoundError:
                return

        self._call("remove", path, removed)

    def digest(self, path: str) -> str:
        return self._call("read", path, lambda: self._digest(path))

    def sync_folder(self, path: str) -> None:
        """Do nothing: an object store has no folders, and what it has acknowledged lasts."""

    def _digest(self, path: str) -> str:
        digest = hashlib.sha256()
        self._fs.invalidate_cache()
        with self._fs.open(self._at(path), "rb", block_size=_READ_BLOCK) as file:
            while block := file.read(_READ_BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def _call(self, doing: str, path: str, call: Callable[[], T]) -> T:
        """The result of `call`, tried again while answers fail; raises the last failure as StorageError."""

        def once() -> T:
            try:
                return call()
            except (FileNotFoundError, _AnswerLost):
                raise
            except PermissionError as error:
                raise storage_error(error, doing, self._named(path)) from error
            except _foreign_errors() as error:
                if is_not_set_up(error):
                    raise StorageRefused(
                        f"dataset {self.place}: no credentials here ({printable(str(error))}); set up the"
                        " profile, key or credentials that it needs"
                    ) from error
                raise _AnswerLost from error

        try:
            for attempt in Retrying(
                stop=stop_after_attempt(_ATTEMPTS) | stop_after_delay(_SECONDS),
                wait=wait_exponential(multiplier=0.2, max=4.0) + wait_random(0, 0.2),
                retry=retry_if_exception_type(_AnswerLost),
                reraise=True,
            ):
                with attempt:
                    return once()
        except _AnswerLost as lost:
            raise _translated(lost.__cause__, doing, self._named(path)) from lost
        raise AssertionError("tenacity returned without a result")

    def _named(self, path: str) -> str:
        return f"{path} in dataset {self.place}"

    def temp_dir(self) -> Path:
        try:
            return self._temporary.path()
        except OSError as error:
            raise storage_error(error, "make a folder in", tempfile.gettempdir()) from error

    def _entries(self, prefix: str) -> list[tuple[str, bool]]:
        """(name, is a folder) of what is directly in `prefix`, sorted as whole paths sort."""

        def listed() -> list[dict[str, Any]]:
            self._fs.invalidate_cache()
            try:
                return list(self._fs.ls(self._at(prefix), detail=True))
            except (FileNotFoundError, NotADirectoryError):
                return []

        entries = []
        for info in self._call("list", prefix or ".", listed):
            name = str(info["name"]).rstrip("/").rpartition("/")[2]
            folder = info["type"] == "directory"
            if str(info["name"]).rstrip("/") != self._at(prefix).rstrip("/"):
                entries.append((name + "/" * folder, folder))
        return [(name.rstrip("/"), folder) for name, folder in sorted(set(entries))]

    def list(self, prefix: str) -> Iterator[str]:
        for name, folder in self._entries(prefix):
            path = f"{prefix}/{name}" if prefix else name
            if folder:
                yield from self.list(path)
            else:
                yield path

    def folders(self, prefix: str) -> tuple[str, ...]:
        return tuple(name for name, folder in self._entries(prefix) if folder)

    def probe(self) -> None:
        path = f"{layout.CONTROL}/probe-{secrets.token_hex(6)}"
        try:
            self._fs.pipe_file(self._at(path), b"1", mode="create")
            try:
                self._fs.pipe_file(self._at(path), b"2", mode="create")
                refused = False
            except _foreign_errors() as error:
                if not _stands_already(error):
                    raise
                refused = True
            self._fs.rm_file(self._at(path))
        except _foreign_errors() as error:
            place = error if isinstance(error, OSError) else OSError(printable(str(error)))
            if isinstance(place, FileNotFoundError):
                raise UsageError(f"dataset {self.place} cannot be written: no such bucket") from error
            raise probe_error(place, self.place + store_words(error)) from error
        if not refused:
            raise UsageError(
                f"dataset {self.place}: this store replaces a key that it was asked to create, so two"
                " workers could overwrite each other; use a store with conditional writes"
            )

    def close(self) -> None:
        self._temporary.remove()


def _replaces(url: str) -> UsageError:
    return UsageError(
        f"dataset {shown(url)}: this filesystem cannot create a file without replacing one;"
        " use a local folder, s3:// or gs://"
    )


def _own_folder() -> Path:
    """This user's folder for temporary folders. Raises OSError, also where somebody else has made it."""
    folder = Path(tempfile.gettempdir()) / f"skyhaul-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise PermissionError(errno.EACCES, "it belongs to somebody else", str(folder))
    return folder


class _RemoteInput(io.RawIOBase):
    """An open remote file whose errors are ours."""

    def __init__(self, file: Any, name: str) -> None:
        self._file = file
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data = self._file.read(len(view))
        except _foreign_errors() as error:
            raise _translated(error, "read", self._name) from error
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._file.close()


def _translated(error: BaseException | None, doing: str, name: str) -> StorageError:
    known = error if isinstance(error, OSError) else OSError(printable(str(error or "no answer")))
    return storage_error(known, doing, name + store_words(error))


def _stands_already(error: BaseException | None) -> bool:
    """Whether a create was refused because the key exists."""
    # MinIO's 412 has no `Condition` in its body: it comes as OSError(EINVAL), caused by the client's error.
    while error is not None:
        if isinstance(error, FileExistsError):
            return True
        response = getattr(error, "response", None)
        if isinstance(response, dict) and response.get("Error", {}).get("Code") == "PreconditionFailed":
            return True
        error = error.__cause__
    return False


def _creates_only(fs: Any) -> bool:
    """Whether `pipe_file(mode="create")` is the filesystem's own."""
    # fsspec's default looks first and then writes, which two workers can both pass.
    if fs.async_impl:
        ours, default = type(fs)._pipe_file, AsyncFileSystem._pipe_file
    else:
        ours, default = type(fs).pipe_file, fsspec.AbstractFileSystem.pipe_file
    return ours is not default and takes_mode(fs, ours)


@cache
def _foreign_errors() -> tuple[type[BaseException], ...]:
    """Error classes of the installed filesystem libraries, OSError among them."""
    errors: list[type[BaseException]] = [OSError, TimeoutError]
    for module, names in (
        ("aiohttp", ("ClientError",)),
        ("botocore.exceptions", ("BotoCoreError", "ClientError")),
        ("gcsfs.retry", ("HttpError",)),
        ("azure.core.exceptions", ("AzureError",)),
    ):
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            continue
        errors += [getattr(loaded, name) for name in names]
    return tuple(errors)
