"""Files and fsspec objects that a list names, below a root: nothing is listed, and with an index that states
size and sha256 nothing is asked of a store either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO

from skyhaul_connectors.sources.fsspec_source import FsspecFiles
from skyhaul_connectors.sources.http_fetch import lines_of
from skyhaul_connectors.sources.local import LocalFiles
from skyhaul_connectors.sources.url_list import LINE_CAP, ListedUrl, read_list
from skyhaul_schemas.errors import SourceChanged
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable


class PathList:
    """The paths of a JSONL or CSV list. `where` names it in messages."""

    def __init__(self, where: str, open_list: Callable[[], IO[bytes]]) -> None:
        self._where = where
        self._open_list = open_list

    def entries(self) -> Iterator[ListedUrl]:
        """Raises UsageError or CarriageError."""
        with self._open_list() as file:
            yield from read_list(self._where, lines_of(file, LINE_CAP), rooted=True)


class ListedLocalFiles(LocalFiles):
    """Files of this machine that `listed` names; each is looked at, for its modification time pins it."""

    listed: PathList

    def _listing(self) -> Iterator[PinnedObject]:
        for entry in self.listed.entries():
            yield _as_listed(self._named(entry.path), entry)


class ListedFsspecFiles(FsspecFiles):
    """Objects of a filesystem that `listed` names. With a size and a sha256 in the list these pin an object:
    whatever is read is held against them."""

    listed: PathList

    def _listing(self) -> Iterator[PinnedObject]:
        for entry in self.listed.entries():
            # A size of 0 proves nothing: the store is asked.
            if entry.size and entry.checksum is not None and entry.checksum.startswith("sha256:"):
                yield PinnedObject(
                    self._name, entry.path, entry.size, entry.checksum, entry.checksum, None, entry.blocks
                )
            else:
                yield _as_listed(self._named(entry.path), entry)


def _as_listed(obj: PinnedObject, entry: ListedUrl) -> PinnedObject:
    if entry.size is not None and entry.size != obj.size:
        raise SourceChanged(
            f"{obj.source}: {printable(obj.path)!r} has {obj.size} bytes, the list says {entry.size};"
            " make the list anew"
        )
    return replace(obj, checksum=entry.checksum or obj.checksum, blocks=entry.blocks)
