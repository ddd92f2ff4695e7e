"""Objects below a root by a list of their paths.

With an index that states size and sha256 nothing is asked of their store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from skyhaul_connectors.sources.catalogue.documents import Document, lines_of
from skyhaul_connectors.sources.catalogue.object_names import fault_in_key, fault_in_path
from skyhaul_connectors.sources.catalogue.url_list import LINE_CAP, ListedUrl, read_list
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_schemas.errors import SourceChanged
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable


class PathList:
    """The paths of a JSONL or CSV list.

    Args:
        document: The list.
        keyed: They are keys of a store, and not paths of folders."""

    def __init__(self, document: Document, *, keyed: bool = False) -> None:
        self._document = document
        self._fault = fault_in_key if keyed else fault_in_path

    def entries(self, told: LeftOut) -> Iterator[ListedUrl]:
        """Raises UsageError or CarriageError."""
        with self._document.open() as file:
            yield from read_list(
                self._document.where, lines_of(file, LINE_CAP), rooted=True, fault=self._fault, told=told
            )


def as_listed(obj: PinnedObject, entry: ListedUrl) -> PinnedObject:
    """`obj`, as its store has it, with what the list states of it. Raises SourceChanged for another size."""
    if entry.size is not None and entry.size != obj.size:
        raise SourceChanged(
            f"{obj.source}: {printable(obj.path)!r} has {obj.size} bytes, the list says {entry.size};"
            " make the list anew"
        )
    return replace(obj, checksum=entry.checksum or obj.checksum, blocks=entry.blocks)
