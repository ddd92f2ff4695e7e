"""Files and fsspec objects that a list names, below a root: nothing is listed, and with an index that states
size and sha256 nothing is asked of a store either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import IO

from skyhaul_connectors.sources.catalogue.object_names import fault_in_key, fault_in_path
from skyhaul_connectors.sources.catalogue.url_list import LINE_CAP, ListedUrl, read_list
from skyhaul_connectors.sources.fsspec.source import FsspecFiles
from skyhaul_connectors.sources.http.fetch import lines_of
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.local.source import LocalFiles
from skyhaul_connectors.sources.s3.files import S3Files
from skyhaul_schemas.errors import SourceChanged
from skyhaul_schemas.plan import KEY, PinnedObject
from skyhaul_schemas.printable import printable


class PathList:
    """The paths of a JSONL or CSV list. `where` names it in messages. keyed: they are keys of a store."""

    def __init__(self, where: str, open_list: Callable[[], IO[bytes]], *, keyed: bool = False) -> None:
        self._where = where
        self._open_list = open_list
        self._fault = fault_in_key if keyed else fault_in_path

    def entries(self, told: LeftOut) -> Iterator[ListedUrl]:
        """Raises UsageError or CarriageError."""
        with self._open_list() as file:
            yield from read_list(
                self._where, lines_of(file, LINE_CAP), rooted=True, fault=self._fault, told=told
            )


class ListedLocalFiles(LocalFiles):
    """Files of this machine that `listed` names; each is looked at, for its modification time pins it."""

    listed: PathList

    def _listing(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        for entry in self.listed.entries(left_out):
            yield _as_listed(self._named(entry.path), entry)


class ListedFsspecFiles(FsspecFiles):
    """Objects of a filesystem that `listed` names. With a size and a sha256 in the list these pin an object:
    whatever is read is held against them."""

    listed: PathList

    def _listing(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        for entry in self.listed.entries(left_out):
            if entry.size is not None and entry.checksum is not None and entry.checksum.startswith("sha256:"):
                locator = KEY if fault_in_path(entry.path) else None
                yield PinnedObject(
                    self._name, entry.path, entry.size, entry.checksum, entry.checksum, locator, entry.blocks
                )
            else:
                yield _as_listed(self._named(entry.path), entry)


class ListedS3Files(ListedFsspecFiles, S3Files):
    """Keys of a bucket that `listed` names."""


def _as_listed(obj: PinnedObject, entry: ListedUrl) -> PinnedObject:
    if entry.size is not None and entry.size != obj.size:
        raise SourceChanged(
            f"{obj.source}: {printable(obj.path)!r} has {obj.size} bytes, the list says {entry.size};"
            " make the list anew"
        )
    return replace(obj, checksum=entry.checksum or obj.checksum, blocks=entry.blocks)
