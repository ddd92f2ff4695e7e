"""A dataset in a folder of this machine (or of a network filesystem that it has mounted)."""

from __future__ import annotations

import errno
import operator
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from skyhaul.dataset.storage.errors import probe_error, storage_error
from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.regular import check_regular
from skyhaul.dataset.storage.store import DatasetStore, Same
from skyhaul.dataset.storage.temporary import PREFIX, OwnTemporary, TemporaryFolder, clear_leftovers
from skyhaul_connectors.sources.local.file_names import check_reachable
from skyhaul_schemas import layout
from skyhaul_schemas.errors import RecordDamaged, StorageError, UsageError
from skyhaul_schemas.printable import printable

_NAMES_OF_FILES = (".json/", ".parquet/")
"""Ends of names that only our files have: a folder under such a name stands in a file's way."""

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What link(2) says where a filesystem has no hard links, or (EMLINK) allows no second name."""


class LocalStore(DatasetStore):
    """Files are written under a temporary name, synced, and linked into place, which never replaces."""

    local_root: Path

    def __init__(self, url: str, writable: bool, files: LocalFiles) -> None:
        super().__init__(url, writable)
        self.files = files
        path = unquote(urlsplit(url).path) if url.startswith(("file://", "local://")) else url
        if not path or "\0" in path:
            raise UsageError(f"dataset {printable(url)!r} is no path")
        self.local_root = Path(os.path.abspath(path))
        check_reachable(str(self.local_root), "dataset")
        files.keep(self.local_root)
        self._temporary = OwnTemporary(self._control)
        if writable:
            clear_leftovers(self.local_root / layout.CONTROL)

    def exists(self, path: str) -> bool:
        """Whether the name is taken, by whatever it is: nothing can be created there."""
        with _reading(path):
            return os.path.lexists(self.local_root / path)

    def size(self, path: str) -> int:
        with _reading(path):
            return check_regular(self.local_root / path, path).st_size

    def read_bytes(self, path: str) -> bytes:
        with _reading(path):
            check_regular(self.local_root / path, path)
            return (self.local_root / path).read_bytes()

    def open_input(self, path: str) -> BinaryIO:
        with _reading(path):
            check_regular(self.local_root / path, path)
            return open(self.local_root / path, "rb")

    def create_bytes(self, path: str, data: bytes, *, same: Same = operator.eq) -> bool:
        temporary = self.temp_path()
        with _unremoved(temporary):
            self.files.write_new(temporary, data)
        try:
            return self._create(temporary, path, lambda: same(self.read_bytes(path), data))
        finally:
            self.files.unlink(temporary)

    def replace_bytes(self, path: str, data: bytes) -> None:
        target = self.local_root / path
        temporary = self.temp_path()
        with _unremoved(temporary):
            self.files.write_new(temporary, data)
        self.files.make_folders(target.parent)
        with _unremoved(temporary):
            self.files.replace(temporary, target)
        self.files.fsync_folder(target.parent)

    def remove(self, path: str) -> None:
        self.files.unlink(self.local_root / path)

    def sync_folder(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.files.fsync_folder(self.local_root / path)

    def publish(self, local_path: Path, path: str, sha256: str, *, keep: bool = False) -> bool:
        with _unremoved(local_path):
            self.files.fsync(local_path)
        created = self._create(local_path, path, lambda: self.digest(path) == sha256)
        if not keep:
            self.files.unlink(local_path)
        return created

    def set_aside(self, path: str, sha256: str) -> str | None:
        target = self.local_root / path
        try:
            if self.digest(path) != sha256:
                return None
            aside = self._reserved(path)
            # Whatever is there at this moment is moved, so that it can be looked at alone.
            self.files.replace(target, self.local_root / aside)
        except FileNotFoundError:
            return None
        # What was moved may be another process's, put there since the first look: it gets its name back.
        ours = self.digest(aside) == sha256
        if not ours:
            with suppress(FileExistsError):
                self.files.link(self.local_root / aside, target)
            self.files.fsync_folder(target.parent)
            self.files.unlink(self.local_root / aside)
        self.files.fsync_folder((self.local_root / aside).parent)
        self.files.fsync_folder(target.parent)
        return aside if ours else None

    def _reserved(self, path: str) -> str:
        """A name for what is set aside of `path`, with an empty file that the move replaces.

        Another process may set something aside at the same time."""
        while True:
            aside = self.aside_of(path)
            self.files.make_folders((self.local_root / aside).parent)
            with suppress(FileExistsError):
                self.files.create(self.local_root / aside).finish(sync=False)
                return aside

    def replace_file(self, local_path: Path, path: str, sha256: str, aside: str) -> None:
        self.files.fsync(local_path)
        self.files.hold(local_path, sha256)
        target, kept = self.local_root / path, self.local_root / aside
        self.files.make_folders(target.parent)
        # A second name for what stands there, and then a rename over the first: in no moment is it gone.
        if target.is_file() and not target.is_symlink():
            self.files.make_folders(kept.parent)
            self.files.link(target, kept)
            self.files.fsync_folder(kept.parent)
        elif os.path.lexists(target):
            # A folder cannot be replaced by a file, and a link is worth keeping as it is.
            self._rename(target, kept)
        self.files.replace(local_path, target)
        self.files.fsync_folder(target.parent)

    def move_aside(self, path: str) -> str:
        target = self.local_root / path
        with _reading(path):
            regular = stat.S_ISREG(os.lstat(target).st_mode)
        if regular:
            return super().move_aside(path)
        aside = self.aside_of(path)
        self._rename(target, self.local_root / aside)
        return aside

    def _rename(self, target: Path, aside: Path) -> None:
        self.files.make_folders(aside.parent)
        self.files.replace(target, aside)
        self.files.fsync_folder(aside.parent)
        self.files.fsync_folder(target.parent)

    def copy(self, path: str, target: str) -> None:
        temporary, place = self.temp_path(), self.local_root / target
        self.files.link(self.local_root / path, temporary)
        self.files.make_folders(place.parent)
        self.files.replace(temporary, place)
        # A rename between two names of one file leaves both (rename(2)).
        self.files.unlink(temporary)
        self.files.fsync_folder(place.parent)

    def _create(self, temporary: Path, path: str, stands: Callable[[], bool]) -> bool:
        """Give a synced file its name. `stands` compares what is there with ours. Raises CommitConflict."""
        while not self._link(temporary, self.local_root / path):
            try:
                if not stands():
                    raise self.conflict(path)
            except FileNotFoundError:
                # It was there when ours was refused, and is gone since.
                continue
            except RecordDamaged as error:
                raise self.conflict(path) from error
            return False
        return True

    def _link(self, temporary: Path, target: Path) -> bool:
        """Give a synced file its name; False where the name is taken.

        The folder is synced in both cases: who took the name may have died before it got that far."""
        self.files.make_folders(target.parent)
        with _unremoved(temporary):
            try:
                self.files.link(temporary, target)
                created = True
            except FileExistsError:
                created = False
            self.files.fsync_folder(target.parent)
        return created

    def digest(self, path: str) -> str:
        with _reading(path):
            return super().digest(path)

    def temp_dir(self) -> Path:
        if not self.writable:
            raise StorageError(f"dataset {self.place} was opened for reading")
        try:
            return self._temporary.path()
        except OSError as error:
            raise storage_error(error, "make a folder in", self.local_root / layout.CONTROL) from error

    def _control(self) -> Path:
        control = self.local_root / layout.CONTROL
        self.files.make_folders(control)
        return control

    def list(self, prefix: str) -> Iterator[str]:
        try:
            # With the slash, so that folders and files sort as their whole paths do.
            entries = sorted(
                (entry.name + "/" * entry.is_dir(follow_symlinks=False))
                for entry in os.scandir(self.local_root / prefix)
            )
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise storage_error(error, "list", self.local_root / prefix) from error
        for name in entries:
            path = f"{prefix}/{name}" if prefix else name
            if not name.endswith("/") or name.endswith(_NAMES_OF_FILES):
                # A folder under the name of a file of ours is told as what takes that name.
                yield path.rstrip("/")
            elif not path.startswith(f"{layout.CONTROL}/{PREFIX}"):
                yield from self.list(path[:-1])

    def folders(self, prefix: str) -> tuple[str, ...]:
        try:
            entries = list(os.scandir(self.local_root / prefix))
            return tuple(sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False)))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise storage_error(error, "list", self.local_root / prefix) from error

    def probe(self) -> None:
        target = self.local_root / layout.CONTROL
        try:
            self.files.make_folders(target)
            folder = TemporaryFolder(target)
        except StorageError as error:
            if isinstance(error.__cause__, OSError):
                raise probe_error(error.__cause__, self.place) from error
            raise
        except OSError as error:
            raise probe_error(error, self.place) from error
        # Tried, not asked: what a filesystem says of itself is not what a network mount then does.
        try:
            first, second = folder.path / "first", folder.path / "second"
            first.write_bytes(b"1")
            os.link(first, second)
            self._link_again(first, second)
        except OSError as error:
            if error.errno in _NO_LINKS:
                raise UsageError(
                    f"dataset {self.place} lies on a filesystem without hard links, so a file cannot be"
                    " created without replacing; choose another `dataset`"
                ) from error
            raise probe_error(error, self.place) from error
        finally:
            folder.remove()

    def _link_again(self, first: Path, second: Path) -> None:
        try:
            os.link(first, second)
        except FileExistsError:
            return
        raise UsageError(
            f"dataset {self.place} lies on a filesystem that replaces where it should refuse;"
            " choose another `dataset`"
        )

    def close(self) -> None:
        self._temporary.remove()


@contextmanager
def _unremoved(temporary: Path) -> Iterator[None]:
    """Turn FileNotFoundError into StorageError: only somebody else can have removed the file."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(
            f"{printable(str(temporary))} or the folder it belongs into is gone: something else removes files"
            " of this dataset; stop that, and run the same command again"
        ) from error


@contextmanager
def _reading(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise storage_error(error, "read", path) from error
