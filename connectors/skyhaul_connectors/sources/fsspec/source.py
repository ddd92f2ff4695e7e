"""Any fsspec filesystem as a source: it lists, pins and reads.

Objects are read by ranges through an open file without read-ahead, in a thread of the channel's own, with
the length checked. Before the first range, and after each unless the filesystem itself sends If-Match,
the object's size and version are compared with the pinned ones.
"""

from __future__ import annotations

import contextlib
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import fsspec

from skyhaul_connectors.sources.catalogue.blocking import tried_here
from skyhaul_connectors.sources.catalogue.checksums import LoadChecksums, with_checksums
from skyhaul_connectors.sources.catalogue.doubts import Doubts
from skyhaul_connectors.sources.catalogue.globs import Selection, States, has_glob
from skyhaul_connectors.sources.catalogue.object_names import FOLDING, fault_in_path
from skyhaul_connectors.sources.fsspec.azure_folded import AZURE, folded_below
from skyhaul_connectors.sources.fsspec.empty_objects import AT_ONCE, asked_again, first_byte
from skyhaul_connectors.sources.fsspec.errors import foreign_errors, translated
from skyhaul_connectors.sources.fsspec.pin import size_in, still_holds, version_in
from skyhaul_connectors.sources.fsspec.sftp_hosts import with_known_hosts
from skyhaul_connectors.sources.left_out import (
    DANGLING,
    EMPTY_PART,
    FOLDER_LINK,
    HIDDEN,
    MARKER,
    NOT_REGULAR,
    LeftOut,
)
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from skyhaul_connectors.sources.reading_channel import ReadingChannel
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import ConnectionLost, ObjectMissing, SourceChanged, UsageError, ValueRefused
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

_OPEN_FILES = 8
"""Files that a reader keeps open: opening one costs a round trip or two. Chosen, not measured."""

_SSH = frozenset(("sftp", "ssh"))
"""Filesystems over one connection that two threads must not use at once: each channel has its own."""

Info = Mapping[str, Any]


class FsspecFiles:
    """Objects of a filesystem. Nothing is contacted before the first listing or read.

    Args:
        name: The source's.
        protocol: As fsspec calls the filesystem.
        root: As the filesystem writes paths.
        patterns: Globs below the root.
        options: The filesystem's own; may be secret.
        checksums: Loads the job's checksums file.
        timeouts: What channels wait for."""

    def __init__(
        self,
        name: str,
        protocol: str,
        root: str,
        patterns: Sequence[str],
        options: Mapping[str, Any],
        *,
        checksums: LoadChecksums | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._name = name
        self._protocol = protocol
        self._root = root
        self._patterns = tuple(patterns)
        self._options = dict(options)
        self._checksums = checksums
        self._timeouts = timeouts or Timeouts()
        self._lock = threading.Lock()
        self._filesystem: Any = None
        self._reader = _Reader(self)
        self._doubts = Doubts()

    @property
    def name(self) -> str:
        return self._name

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        told = left_out if left_out is not None else LeftOut()
        found = asked_again(self._listing(told), lambda obj: self._again(obj, told), self._at_once)
        return with_checksums(found, self._checksums, Selection(self._patterns).matches, told)

    def _at_once(self) -> int:
        """Threads that may use the filesystem beside this one: others have one connection."""
        return AT_ONCE if getattr(self.filesystem(), "async_impl", False) else 0

    def connect(self, events: ChannelEvents, route: Route) -> ReadingChannel:
        reader = _Reader(self)
        return ReadingChannel(
            reader.read, events, threaded=True, timeouts=self._timeouts, release=reader.close
        )

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        if not length:
            return b""
        return tried_here(self._doubts, lambda: self._reader.read(obj, offset, length))

    def close(self) -> None:
        self._reader.close()

    fault_in = staticmethod(fault_in_path)
    """Why a path cannot name an object here, or None."""

    # For the readers

    def filesystem(self) -> Any:
        """Made on first use. Raises UsageError where its package is missing or refuses the options."""
        with self._lock:
            if self._filesystem is None:
                self._filesystem = self._made()
            return self._filesystem

    def own_filesystem(self) -> Any | None:
        """A connection of the caller's own, where the filesystem is one; None where all may share one."""
        return self._made() if self._protocol in _SSH else None

    def _made(self) -> Any:
        # A cached listing hides what changed since; a cached instance (of fsspec, by its options) would be
        # shared by sources and threads, and keep the options' secrets in memory.
        options: dict[str, Any] = {"use_listings_cache": False, **self._options}
        try:
            if self._protocol in _SSH:
                options = with_known_hosts(
                    self._name, self._options, self._timeouts.connect, self._timeouts.idle
                )
            filesystem = fsspec.filesystem(self._protocol, skip_instance_cache=True, **options)
            if self._protocol in _SSH:
                # paramiko waits for an answer for ever otherwise; its own options end with the connecting.
                filesystem.ftp.get_channel().settimeout(self._timeouts.idle)
            return filesystem
        except ImportError:
            raise UsageError(
                f"source {self._name}: {self._protocol}:// needs a package that is not installed;"
                f" see fsspec's page on {self._protocol}"
            ) from None
        except (TypeError, ValueError, KeyError) as error:  # KeyError: s3fs's, of one option given twice
            raise ValueRefused(
                f"source {self._name}: {self._protocol}:// does not take these options"
                f" ({type(error).__name__})",
                ("sources", self._name, "options"),
                self._options,
                f"what fsspec's {self._protocol}:// takes ({type(error).__name__})",
            ) from None

    def place(self, path: str) -> str:
        return f"{self._name}: {printable(path)!r}"

    def full_path(self, path: str) -> str:
        return f"{self._root}/{path}"

    # Listing

    def _listing(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        exact = list(dict.fromkeys(p for p in self._patterns if not has_glob(p)))
        for path in exact:
            yield self._named(path)
        globs = Selection([p for p in self._patterns if has_glob(p)])
        if globs.patterns:
            yield from self._walk(globs, frozenset(exact), left_out)

    def _named(self, path: str) -> PinnedObject:
        info = tried_here(self._doubts, lambda: self._info(path))
        if info.get("type") == "directory":
            raise UsageError(
                f"source {self._name}: {printable(path)!r} is a folder; write {printable(path)}/**"
            )
        return self._pin(path, info)

    def _info(self, path: str) -> Info:
        with translated(self.place(path)):
            return self._ask(path)

    def _ask(self, path: str) -> Info:
        """What the filesystem states of one object. Raises foreign errors."""
        info: Info = self.filesystem().info(self.full_path(path))
        return info

    def _again(self, obj: PinnedObject, left_out: LeftOut) -> PinnedObject | None:
        """`obj`, which states no bytes, once a read has shown none; None where it is left out."""
        filesystem, path = self.filesystem(), self.full_path(obj.path)
        with translated(self.place(obj.path)):
            if self._protocol in _SSH and not stat.S_ISREG(filesystem.ftp.stat(path).st_mode or 0):
                left_out.add(obj.path, NOT_REGULAR)  # reading a pipe would wait
                return None
            if first_byte(filesystem, path):
                raise UsageError(
                    f"source {self._name}: {printable(obj.path)!r} states a size of 0 and has bytes, so that"
                    " its size cannot be pinned; leave it out"
                )
        return obj

    def _walk(self, globs: Selection, skip: frozenset[str], left_out: LeftOut) -> Iterator[PinnedObject]:
        folders: list[tuple[str, States]] = [("", globs.start())]
        while folders:
            folder, states = folders.pop()
            below: list[tuple[str, States]] = []
            for name, info in self._children(folder):
                path = folder + name
                if info.get("type") == "link":
                    if not globs.takes(states, name) and not globs.enter(states, name):
                        continue
                    found = self._followed(path, left_out)
                    if found is None:
                        continue
                    info = found
                if info.get("type") == "directory":
                    inside = globs.enter(states, name)
                    if self._may_be_part(name, path, left_out) and inside:
                        below.append((f"{path}/", inside))
                    elif globs.hides_folder(states, name):
                        left_out.add(path, HIDDEN)
                elif path not in skip and globs.takes(states, name):
                    if self._may_be_name(name, path, info, left_out):
                        yield self._pin(path, info)
                elif globs.hides(states, name):
                    left_out.add(path, HIDDEN)
            if self._protocol in AZURE and globs.enter(states, ""):
                with translated(self.place(folder)):
                    for rest in folded_below(self.filesystem(), self.full_path(folder)):
                        left_out.add(folder + rest, EMPTY_PART)
            folders.extend(reversed(below))

    def _followed(self, path: str, left_out: LeftOut) -> Info | None:
        """What a link leads to; None where it is left out."""
        try:
            with translated(self.place(path)):
                info = self._ask(path)
        except ObjectMissing:
            left_out.add(path, DANGLING)
            return None
        if info.get("type") == "directory":
            left_out.add(path, FOLDER_LINK)  # it may lead in a circle
            return None
        return info

    def _children(self, folder: str) -> Iterator[tuple[str, Info]]:
        """Name and info of what lies in `folder`, which is empty or ends with `/`.

        The name of a folder has no slash at its end; the folder's own entry has no name."""
        path = self.full_path(folder).rstrip("/") or "/"
        for info in self._entries(folder, path, lambda: self.filesystem().ls(path, detail=True)):
            yield self._name_below(folder, info), info

    def _entries(self, folder: str, path: str, listed: Callable[[], Iterable[Info]]) -> Iterator[Info]:
        place = f"source {self._name}: {printable(path)!r}"
        try:
            with translated(place):
                yield from listed()
        except UnicodeDecodeError as error:
            raise UsageError(
                f"{place} has a name that is no UTF-8 ({printable(repr(error.object[:200]))}); rename it"
            ) from None
        except ObjectMissing:
            if folder:
                raise
            raise UsageError(f"source {self._name}: no bucket or folder {printable(path)!r}") from None

    def _name_below(self, folder: str, info: Info) -> str:
        # Some filesystems write a leading slash and some do not, whatever they were asked with.
        path = str(info["name"]).lstrip("/")
        prefix = self.full_path(folder).strip("/")
        rest = path[len(prefix) :] if path.startswith(prefix) else path
        return rest.strip("/") if info.get("type") == "directory" else rest.lstrip("/")

    def _may_be_part(self, name: str, path: str, left_out: LeftOut) -> bool:
        """Whether a folder `name` may be a part of a path. Raises UsageError for other names."""
        if not name:
            if self._protocol in FOLDING:
                left_out.add(f"{path}/", EMPTY_PART)
            return False  # elsewhere it is the folder's own entry
        self._check_name(path)
        return True

    def _may_be_name(self, name: str, path: str, info: Info, left_out: LeftOut) -> bool:
        """Whether an object `name` may end a path. Raises UsageError for other names."""
        if not name:
            left_out.add(path, EMPTY_PART if size_in(info) else MARKER)
            return False
        self._check_name(path)
        return True

    def _check_name(self, path: str) -> None:
        fault = self.fault_in(path)
        if fault:
            raise UsageError(f"source {self._name}: the name {printable(path)!r} {fault}; leave it out")

    def _pin(self, path: str, info: Info) -> PinnedObject:
        size = size_in(info)
        if size is None:
            raise UsageError(f"source {self._name}: {printable(path)!r}: the store does not state its size")
        by_id = bool(self._options.get("version_aware"))
        return PinnedObject(self._name, path, size, version_in(info, by_id=by_id))


class _Reader:
    """Open files of one thread, a few of them kept."""

    def __init__(self, source: FsspecFiles) -> None:
        self._source = source
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._own: Any = None

    def read(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        """Exactly `length` bytes. Raises CarriageError."""
        place = self._source.place(obj.path)
        try:
            with translated(place):
                file = self._file(obj)
                data = _read(file, offset, length)
                if not hasattr(file, "read_kw"):  # s3fs sends If-Match with each range
                    self._check(obj, self._filesystem().info(self._source.full_path(obj.path)))
        except (ObjectMissing, SourceChanged):
            self._forget(obj.path)
            raise
        except BaseException:
            # After anything else the connection may be in the middle of an answer.
            self._forget(obj.path)
            self._disconnect()
            raise
        if len(data) != length:
            self._forget(obj.path)
            raise ConnectionLost(f"{place}: {len(data)} of {length} bytes at {offset}")
        return data

    def close(self) -> None:
        for path in list(self._open):
            self._forget(path)
        self._disconnect()

    def _filesystem(self) -> Any:
        if self._own is None:
            self._own = self._source.own_filesystem()
        return self._source.filesystem() if self._own is None else self._own

    def _disconnect(self) -> None:
        """The next read connects anew."""
        own, self._own = self._own, None
        if own is not None:
            self._open.clear()
            with contextlib.suppress(*foreign_errors()):
                own.client.close()

    def _file(self, obj: PinnedObject) -> Any:
        file = self._open.get(obj.path)
        if file is None:
            fault = self._source.fault_in(obj.path)
            if fault:
                raise ObjectMissing(f"{self._source.place(obj.path)}: the path {fault}")
            filesystem = self._filesystem()
            path = self._source.full_path(obj.path)
            # A version id pins by itself where the filesystem can be asked for it.
            version = obj.version.removeprefix("vid:") if obj.version.startswith("vid:") else None
            wanted = (
                {"version_id": version} if version and getattr(filesystem, "version_aware", False) else {}
            )
            # In this order: what is opened after the look may be newer; `read` looks again behind the bytes.
            self._check(obj, filesystem.info(path, **wanted))
            file = filesystem.open(path, "rb", cache_type="none", **wanted)
            self._open[obj.path] = file
            if len(self._open) > _OPEN_FILES:
                self._forget(next(iter(self._open)))
        self._open.move_to_end(obj.path)
        return file

    def _check(self, obj: PinnedObject, info: Info) -> None:
        size, version = size_in(info), version_in(info)
        if size != obj.size or not still_holds(obj.version, info):
            raise SourceChanged(
                f"{self._source.place(obj.path)} is {size} bytes of {printable(version) or 'no version'} now,"
                f" the plan pinned {obj.size} of {printable(obj.version)}; `skyhaul plan --amend` renews it"
            )

    def _forget(self, path: str) -> None:
        file = self._open.pop(path, None)
        if file is not None:
            with contextlib.suppress(*foreign_errors()):  # nothing was written
                file.close()


def _read(file: Any, offset: int, length: int) -> bytes:
    if hasattr(file, "readv"):  # paramiko: all of the range is under way at once, not 32 KiB a round trip
        return b"".join(file.readv([(offset, length)]))
    file.seek(offset)
    data: bytes = file.read(length)
    return data
