"""Files of this machine as a kind of source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from skyhaul_connectors.sources.catalogue.path_list import PathList, as_listed
from skyhaul_connectors.sources.catalogue.rooted import rooted
from skyhaul_connectors.sources.declaration import Opening, SourceKind
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.local.source import LocalFiles
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.plan import PinnedObject

SCHEME = "file"


class ListedLocalFiles(LocalFiles):
    """Files of this machine that `listed` names; each is looked at, for its modification time pins it."""

    listed: PathList

    def _listing(self, left_out: LeftOut) -> Iterator[PinnedObject]:
        for entry in self.listed.entries(left_out):
            yield as_listed(self._named(entry.path), entry)


def _open(opening: Opening) -> Source:
    name = opening.name
    files = rooted(name, SCHEME, opening.urls)
    kind = LocalFiles if opening.listed is None else ListedLocalFiles
    source = kind(name, files.root, files.patterns, checksums=opening.checksums, timeouts=opening.timeouts)
    if isinstance(source, ListedLocalFiles):
        assert opening.listed is not None
        source.listed = PathList(opening.listed)
    return source


def _selection(name: str, urls: Sequence[str]) -> list[str]:
    return rooted(name, SCHEME, urls).patterns


LOCAL = SourceKind(
    schemes=(SCHEME,),
    about="files of this machine, by path",
    open=_open,
    selection=_selection,
    options={},
    takes_lists=True,
    # A path is written without a scheme, so no message offers this one.
    shown=False,
)
