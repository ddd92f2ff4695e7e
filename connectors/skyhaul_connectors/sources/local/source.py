"""Files of this machine as a source, pinned by size and modification time in nanoseconds.

Symbolic links are followed where they stay below the root; one that leaves it is left out and counted, or
refused where it was named without a glob. A file or folder that cannot be read is an error, and so is a file
that has bytes while its size stays 0.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from skyhaul_connectors.sources.catalogue.checksums import LoadChecksums, with_checksums
from skyhaul_connectors.sources.catalogue.globs import Selection, States
from skyhaul_connectors.sources.catalogue.object_names import fault_in_path
from skyhaul_connectors.sources.left_out import (
    DANGLING,
    FOLDER_LINK,
    HIDDEN,
    LEAVES_ROOT,
    NOT_REGULAR,
    LeftOut,
)
from skyhaul_connectors.sources.local.file_names import to_name, to_system
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from skyhaul_connectors.sources.reading_channel import ReadingChannel
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    ConnectionLost,
    ObjectMissing,
    ReadFailed,
    SourceChanged,
    UsageError,
)
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import is_passing

_OPEN_FILES = 16
"""Files kept open for reading by ranges; a path is opened again beyond that."""


class LocalFiles:
    """Files below `root` that match `patterns` (relative to it). Implements Source and LocalSource."""

    def __init__(
        self,
        name: str,
        root: str,
        patterns: Sequence[str],
        *,
        checksums: LoadChecksums | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._name = name
        self._root = to_system(root or ".")
        self._real_root = os.path.realpath(self._root)
        self._selection = Selection(patterns)
        self._checksums = checksums
        self._timeouts = timeouts or Timeouts()
        # The least recently used first.
        self._open: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        told = left_out if left_out is not None else LeftOut()
        return with_checksums(self._listing(told), self._checksums, self._selection.matches, told)

    def _listing(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        if not os.path.isdir(self._root):
            raise UsageError(f"source {self._name}: no folder {self._shown(to_name(self._root))}")
        # Found by the walk and not by name, so that links and folders on the way are judged as for globs.
        missing = set(self._selection.exact())
        for obj in self._walk(left_out):
            missing.discard(obj.path)
            yield obj
        for path in sorted(missing):
            self._explain_missing(path)

    def connect(self, events: ChannelEvents, route: Route) -> ReadingChannel:
        return ReadingChannel(self._read, events, threaded=False, timeouts=self._timeouts)

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return self._read(obj, offset, length)

    def local_path(self, obj: PinnedObject) -> str:
        path = self._path_of(obj)
        with _translated(self._name, obj.path):
            # Who reads in place reads past our checks: what can be known is looked at now.
            self._check(obj, os.stat(path))
            if not _readable(path):
                raise PermissionError(errno.EACCES, "not readable")
        return path

    def close(self) -> None:
        with self._lock:
            for descriptor in self._open.values():
                os.close(descriptor)
            self._open.clear()

    def _shown(self, path: str) -> str:
        return repr(printable(path))

    def _walk(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        """Depth first, by name, one folder's entries in memory at a time and level."""
        levels = [iter(self._entries(self._root, "", self._selection.start(), left_out))]
        while levels:
            found = next(levels[-1], None)
            if found is None:
                levels.pop()
            elif isinstance(found, PinnedObject):
                yield found
            else:
                levels.append(iter(self._entries(*found, left_out)))

    def _entries(
        self, folder: str, prefix: str, states: States, left_out: LeftOut
    ) -> Iterator[PinnedObject | tuple[str, str, States]]:
        """Objects of `folder`, and the folders below it in which something may match."""
        with _translated(self._name, prefix or to_name(self._root)), os.scandir(folder) as scan:
            # Sorted: the order of a folder is the file system's own, another one on each machine.
            entries = sorted(scan, key=lambda entry: entry.name)
        for entry in entries:
            path = prefix + to_name(entry.name)
            wanted = self._wanted(entry, path, states, left_out)
            if wanted is None:
                continue
            self._check_name(path)
            yield (entry.path, f"{path}/", wanted) if wanted else self._pin(entry.path, path)

    def _wanted(self, entry: os.DirEntry[str], path: str, states: States, left_out: LeftOut) -> States | None:
        """What becomes of one entry of a folder.

        Returns:
            The states inside a folder that is entered; no state for a file that is taken; None for others,
            which are counted where the patterns ask for them."""
        name, select = to_name(entry.name), self._selection
        enters, takes = select.enter(states, name), select.takes(states, name)
        if not enters and not takes:
            hidden = select.hides(states, name), select.hides_folder(states, name)
            if any(hidden) and hidden[entry.is_dir(follow_symlinks=False)]:
                left_out.add(path, HIDDEN)
            return None
        # What no pattern asks for is not looked at, nor is it an error when it cannot be.
        with _translated(self._name, path):
            link, folder, regular = entry.is_symlink(), entry.is_dir(), entry.is_file()
        reason = self._fault_in_link(entry.path) if link and (takes or not regular) else None
        if folder:
            inside = select.enter(states, name, link=link)
            if enters and not inside:
                reason = reason or FOLDER_LINK
        else:
            inside = frozenset()
            if takes and not regular:
                reason = reason or NOT_REGULAR
        if reason is not None:
            left_out.add(path, reason)
            return None
        return inside if inside or (takes and not folder) else None

    def _check_name(self, path: str) -> None:
        fault = fault_in_path(path)
        if fault:
            raise UsageError(
                f"source {self._name}: the name {self._shown(path)} {fault}; rename it or leave it out"
            )

    def _pin(self, file: str, path: str) -> PinnedObject:
        with _translated(self._name, path):
            found = os.stat(file)
            if not _readable(file):
                raise PermissionError(errno.EACCES, "not readable")
            # A size of 0 is a claim like others: /proc, and file systems over a network, state it for files
            # with bytes, and nothing is ever hauled of an empty object that would prove it wrong.
            if not found.st_size and stat.S_ISREG(found.st_mode):
                found, data = _read_on(file)
                if data and not found.st_size:
                    raise UsageError(
                        f"source {self._name}: {self._shown(path)} states a size of 0 and has bytes, as files"
                        " of /proc do, so that its size cannot be pinned; haul a copy of it, or leave it out"
                    )
        return PinnedObject(self._name, path, found.st_size, f"mtime:{found.st_mtime_ns}")

    def _named(self, path: str) -> PinnedObject:
        """The file `path` below the root. Raises CarriageError."""
        pinned = PinnedObject(self._name, path, 0, "")
        return self._pin(self._path_of(pinned), path)

    def _fault_in_link(self, file: str) -> str | None:
        # A link out of the root would haul what the job did not name: /etc, by a tree from elsewhere.
        real = os.path.realpath(file)
        if not self._is_below(real):
            return LEAVES_ROOT
        return None if os.path.exists(real) else DANGLING

    def _is_below(self, real: str) -> bool:
        return real == self._real_root or real.startswith(self._real_root.rstrip("/") + "/")

    def _explain_missing(self, path: str) -> None:
        """A file that was named without a glob, and was not taken."""
        file = os.path.join(self._root, to_system(path))
        shown = self._shown(to_name(file))
        if os.path.isdir(file):
            raise UsageError(
                f"source {self._name}: {shown} is a folder; write {shown[1:-1]}/** for its files"
            )
        if os.path.islink(file):
            raise UsageError(f"source {self._name}: {shown} is a link that leaves its folder, or to nothing")
        if os.path.exists(file):
            raise UsageError(f"source {self._name}: {shown} is not a regular file")
        raise UsageError(f"source {self._name}: no file {shown}")

    def _path_of(self, obj: PinnedObject) -> str:
        """Where the object lies; plans are input too, so a path that leaves the root is refused."""
        path = os.path.join(self._root, to_system(obj.path))
        if fault_in_path(obj.path) or not self._is_below(os.path.realpath(path)):
            raise AccessRefused(f"{self._name}: {self._shown(obj.path)} does not lie below the source's root")
        return path

    def _check(self, obj: PinnedObject, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise SourceChanged(f"{self._name}: {self._shown(obj.path)} is no regular file any more")
        if found.st_size != obj.size or f"mtime:{found.st_mtime_ns}" != obj.version:
            raise SourceChanged(
                f"{self._name}: {self._shown(obj.path)} is {found.st_size} bytes of mtime:{found.st_mtime_ns}"
                f" now, the plan pinned {obj.size} of {obj.version}; `skyhaul plan --amend` pins it anew"
            )

    def _descriptor(self, obj: PinnedObject) -> int:
        with self._lock:
            descriptor = self._open.get(obj.path)
            if descriptor is None:
                descriptor = os.open(self._path_of(obj), os.O_RDONLY | os.O_CLOEXEC)
                self._open[obj.path] = descriptor
                if len(self._open) > _OPEN_FILES:
                    os.close(self._open.popitem(last=False)[1])
            self._open.move_to_end(obj.path)
            # A copy: another thread may evict and close the kept one while this one reads.
            return os.dup(descriptor)

    def _read(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        with _translated(self._name, obj.path):
            descriptor = self._descriptor(obj)
            try:
                # Before and after, on the open file: a change in between shows in one of the two.
                self._check(obj, os.fstat(descriptor))
                data = os.pread(descriptor, length, offset)
                # A read may be short without being at the end (signals, network file systems).
                while 0 < len(data) < length and (
                    more := os.pread(descriptor, length - len(data), offset + len(data))
                ):
                    data += more
                self._check(obj, os.fstat(descriptor))
                # Only where the end is read: a byte behind it means that the size is not true.
                if offset + length == obj.size and os.pread(descriptor, 1, obj.size):
                    raise SourceChanged(
                        f"{self._name}: {self._shown(obj.path)} states {obj.size} bytes and has more; haul a"
                        " copy of it, or leave it out"
                    )
            except SourceChanged:
                self._forget(obj.path)
                raise
            finally:
                os.close(descriptor)
        if len(data) != length:
            raise ConnectionLost(
                f"{self._name}: {self._shown(obj.path)} gave {len(data)} of {length} bytes at {offset}"
            )
        return data

    def _forget(self, path: str) -> None:
        with self._lock:
            descriptor = self._open.pop(path, None)
            if descriptor is not None:
                os.close(descriptor)


def _read_on(file: str) -> tuple[os.stat_result, bool]:
    """A file that states no bytes, as its file system states it once it was read, and whether it has any.

    Reading never waits: the path may have become a pipe since it was looked at.

    Raises:
        OSError: It cannot be read."""
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        try:
            data = bool(os.read(descriptor, 1))
        except BlockingIOError:
            # Something that would make a reader wait is no empty file.
            data = True
        return os.fstat(descriptor), data
    finally:
        os.close(descriptor)


def _readable(file: str) -> bool:
    # By the effective user, whose rights the read will have; os.access asks for the real one by default.
    return os.access(file, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


@contextlib.contextmanager
def _translated(source: str, path: str) -> Iterator[None]:
    """An OSError as the error of ours that says the same."""
    shown = repr(printable(path))
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing(f"{source}: no file {shown} any more") from None
    except PermissionError:
        raise AccessRefused(f"{source}: {shown} cannot be read: permission denied") from None
    except OSError as error:
        raise _as_carriage(source, shown, error) from error


def _as_carriage(source: str, shown: str, error: OSError) -> CarriageError:
    kind = ReadFailed if is_passing(error) else ConnectionLost
    return kind(f"{source}: {shown} cannot be read: {os.strerror(error.errno or errno.EIO)}")
