"""An index of a folder, made where the data lies: one JSON object a line and file.

Keys: `path` below the folder; `url`, where a base URL is known; `size` in bytes; `sha256` of the whole file;
`mtime`, if asked for, in nanoseconds since 1970; and for files of more than one block `block_size` (bytes)
and `blocks`: the SHA-256 digests (32 bytes each) of the file's blocks, one after the other, in base64. A
block is 1 MiB, and twice that as often as it takes to keep a line within what a list may have; the last
block is as long as what is left. Lines are sorted by the UTF-8 bytes of `path`.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from skyhaul_connectors.sources.catalogue.globs import Selection, States
from skyhaul_connectors.sources.catalogue.object_names import fault_in_path
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import json_printable, printable
from skyhaul_schemas.storage_errors import storage_error

BLOCK = 1 << 20
"""Bytes of a block, at the least. Chosen, not measured: where a digest does not fit, a block is fetched
again, and each costs 43 bytes of the index."""

BLOCKS_CAP = 256 * 1024
"""Digests on one line: 11 MiB of base64, within the 16 MiB of a line (`url_list.LINE_CAP`)."""

_TRIES = 3
"""Of a file that changes while it is read. Chosen, not measured: one that is written all the time never holds
still."""

_AHEAD = 4
"""Files a thread that are hashed ahead of the one that is printed."""

Skip = Callable[[str, str], None]
"""Called with the path of what is left out, and why."""


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What of a folder is indexed, and how.

    Attributes:
        patterns: Globs below the folder.
        base: The folder's URL; None: lines have no URLs.
        blocks: Whether lines have digests of blocks.
        mtime: Whether lines have modification times.
        threads: Files that are hashed at once."""

    patterns: tuple[str, ...] = ("**",)
    base: HttpUrl | None = None
    blocks: bool = True
    mtime: bool = False
    threads: int = 4


@dataclass(frozen=True, slots=True)
class IndexLine:
    """One line of an index.

    Attributes:
        text: Without a line end.
        size: Bytes of the file."""

    text: str
    size: int


def index_folder(
    folder: str, settings: IndexSettings, skip: Skip, *, without: tuple[int, int] | None = None
) -> Iterator[IndexLine]:
    """The lines, in order, while later files are being hashed.

    Symbolic links are followed to files below the folder only.

    Args:
        folder: The folder to index.
        settings: What of it, and how.
        skip: Told of what cannot be read, changes while it is read, or has a name that no object may have.
        without: Device and inode of a file to leave out: the index itself, where it lies in the folder.

    Raises:
        UsageError: There is no such folder.
        StorageError: This process may open no more files, or has no memory."""
    if not os.path.isdir(folder):
        raise UsageError(f"{printable(folder)}: no such folder; name one to index")
    walk = _Walk(folder, Selection(settings.patterns), skip, without)
    waiting: deque[tuple[str, Future[dict[str, Any] | str]]] = deque()
    with ThreadPoolExecutor(settings.threads, thread_name_prefix="index") as pool:
        try:
            for path in walk.paths():
                waiting.append((path, pool.submit(_entry, folder, path, settings)))
                if len(waiting) >= settings.threads * _AHEAD:
                    yield from _line(*waiting.popleft(), skip)
            while waiting:
                yield from _line(*waiting.popleft(), skip)
        finally:
            for _, future in waiting:
                future.cancel()


def _line(path: str, future: Future[dict[str, Any] | str], skip: Skip) -> Iterator[IndexLine]:
    found = future.result()
    if isinstance(found, str):
        skip(path, found)
    else:
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        yield IndexLine(json_printable(text), found["size"])


def _entry(folder: str, path: str, settings: IndexSettings) -> dict[str, Any] | str:
    """The line of one file, or why there is none."""
    for _ in range(_TRIES):
        try:
            with open(os.path.join(folder, path), "rb", buffering=0) as file:
                before = os.fstat(file.fileno())
                digests = _digests(file.readinto, before.st_size, settings.blocks)
                after = os.fstat(file.fileno())
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                raise storage_error(error, "reading the folder") from error  # it says nothing of this file
            return f"cannot be read: {error.strerror}"
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        if same and digests:
            break
    else:
        return f"states {after.st_size} bytes and has others" if same else "changes while it is read"
    entry: dict[str, Any] = {"path": path}
    if settings.base is not None:
        entry["url"] = settings.base.below(path).stored()
    entry["size"] = after.st_size
    if settings.mtime:
        entry["mtime"] = after.st_mtime_ns
    return {**entry, **digests}


def _digests(read: Callable[[memoryview], int | None], size: int, blocks: bool) -> dict[str, Any]:
    """`sha256`, and what there is to say of blocks; nothing where the file has not `size` bytes.

    Read in one pass: on a station the disk is what an index waits for."""
    step = BLOCK
    while size > step * BLOCKS_CAP:
        step *= 2
    whole = hashlib.sha256()
    each = bytearray()
    block = hashlib.sha256()
    buffer = memoryview(bytearray(BLOCK))
    done = 0
    while count := read(buffer) or 0:
        at = 0
        while at < count:
            # A read may be short anywhere: blocks are counted in bytes of the file.
            piece = buffer[at : min(count, at + step - done % step)]
            whole.update(piece)
            if blocks and size > step:
                block.update(piece)
            at += len(piece)
            done += len(piece)
            if blocks and size > step and done % step == 0:
                each += block.digest()
                block = hashlib.sha256()
    if done != size:
        return {}
    found: dict[str, Any] = {"sha256": whole.hexdigest()}
    if blocks and size > step:
        if size % step:
            each += block.digest()
        found |= {"block_size": step, "blocks": base64.b64encode(each).decode("ascii")}
    return found


class _Walk:
    """Paths of files below a folder, in the order of their UTF-8 bytes.

    One folder's names a level are in memory."""

    def __init__(
        self, folder: str, selection: Selection, skip: Skip, without: tuple[int, int] | None
    ) -> None:
        self._folder = folder
        self._real = os.path.realpath(folder).rstrip("/")
        self._selection = selection
        self._skip = skip
        self._without = without

    def paths(self) -> Iterator[str]:
        levels = [self._entries("", self._selection.start())]
        while levels:
            found = next(levels[-1], None)
            if found is None:
                levels.pop()
            elif isinstance(found, str):
                yield found
            else:
                levels.append(self._entries(*found))

    def _entries(self, prefix: str, states: States) -> Iterator[str | tuple[str, States]]:
        try:
            with os.scandir(os.path.join(self._folder, prefix)) as scan:
                entries = sorted(scan, key=_key)
        except OSError as error:
            self._skip(prefix or ".", f"cannot be listed: {error.strerror}")
            return
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                inside = self._selection.enter(states, entry.name)
                if inside:
                    yield f"{path}/", inside
            elif self._selection.takes(states, entry.name):
                if self._is_wanted(entry, path):
                    yield path
            elif (
                self._selection.enter(states, entry.name) and entry.is_symlink() and os.path.isdir(entry.path)
            ):
                self._skip(path, "is a link to a folder")

    def _is_wanted(self, entry: os.DirEntry[str], path: str) -> bool:
        fault = fault_in_path(path)
        if fault is None and entry.is_symlink():
            real = os.path.realpath(entry.path)
            if not real.startswith(f"{self._real}/"):
                fault = "is a link that leaves the folder"
            elif os.path.isdir(real):
                fault = "is a link to a folder"
        if fault is not None:
            self._skip(path, fault)
            return False
        try:
            found = entry.stat()
        except OSError as error:
            self._skip(path, f"cannot be read: {error.strerror}")
            return False
        if not stat.S_ISREG(found.st_mode):
            self._skip(path, "is no regular file")
            return False
        return (found.st_dev, found.st_ino) != self._without


def _key(entry: os.DirEntry[str]) -> bytes:
    """So that the paths of all files below come out in the order of their bytes."""
    name = entry.name.encode("utf-8", "surrogateescape")
    return name + b"/" if entry.is_dir(follow_symlinks=False) else name
