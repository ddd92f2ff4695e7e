"""Objects of a filesystem that a list names, below a root: nothing is listed."""

from __future__ import annotations

from collections.abc import Iterator

from skyhaul_connectors.sources.catalogue.object_names import fault_in_path
from skyhaul_connectors.sources.catalogue.path_list import PathList, as_listed
from skyhaul_connectors.sources.fsspec.source import FsspecFiles
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_schemas.plan import KEY, PinnedObject


class ListedFsspecFiles(FsspecFiles):
    """Objects of a filesystem that `listed` names.

    With a size and a sha256 in the list these pin an object: whatever is read is held against them."""

    listed: PathList

    def _listing(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        for entry in self.listed.entries(left_out):
            if entry.size is not None and entry.checksum is not None and entry.checksum.startswith("sha256:"):
                locator = KEY if fault_in_path(entry.path) else None
                yield PinnedObject(
                    self._name, entry.path, entry.size, entry.checksum, entry.checksum, locator, entry.blocks
                )
            else:
                yield as_listed(self._named(entry.path), entry)
