"""Objects behind HTTP servers as a kind of source; what opens one is imported where a job has one."""

from __future__ import annotations

from collections.abc import Sequence

from skyhaul_connectors.sources.declaration import Opening, SourceKind
from skyhaul_connectors.sources.http.options import OPTIONS
from skyhaul_connectors.sources.protocol import Source


def _open(opening: Opening) -> Source:
    from skyhaul_connectors.sources.http.opener import open_http

    return open_http(opening)


def _selection(name: str, texts: Sequence[str]) -> list[str]:
    from skyhaul_connectors.sources.http.opener import selection_of_urls

    return selection_of_urls(name, texts)


HTTP = SourceKind(
    schemes=("http", "https"),
    about="objects behind HTTP servers: named, listed by index pages, or by a list",
    open=_open,
    selection=_selection,
    options=OPTIONS,
    mixes=True,
    takes_lists=True,
)
