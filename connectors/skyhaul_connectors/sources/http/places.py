"""Where the objects of an HTTP source lie, and which servers are the job's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.url import HttpUrl, Origin
from skyhaul_connectors.sources.url_spelling import url_below
from skyhaul_schemas.plan import PinnedObject

_URLS_CAP = 4096
"""Object URLs that are kept, since an object is asked for in many ranges. More than are hauled at a time; all
are dropped when they are too many, which costs less than to note which was used last."""


class HttpPlaces(Protocol):
    """Where each object lies, for a channel that asks for it."""

    @property
    def first_origin(self) -> Origin | None:
        """The one origin of all objects, or None where there are several."""

    @property
    def own_origins(self) -> frozenset[Origin]:
        """The origins that the job itself names, so that headers and private addresses are its wish."""

    @property
    def listed_from_afar(self) -> bool:
        """Whether object URLs come from a list that somebody else serves."""

    def unread_list(self, obj: PinnedObject) -> Callable[[], None] | None:
        """What must be called, in a thread, before `url_of(obj)`; None where the URL is known without.

        The call reads the list that the object's URL is in, and raises CarriageError.
        """

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        """With whatever is secret in it. Raises CarriageError where it is not known."""


class HttpCatalogue(HttpPlaces, Protocol):
    """Which objects there are, too."""

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        """Raises CarriageError or UsageError."""

    def close(self) -> None:
        """Let go of what is open; nothing is asked for any more."""


class UrlsBelow:
    """The URLs of objects below `root`."""

    def __init__(self, root: HttpUrl) -> None:
        self.root = root
        self._known: dict[tuple[str, str | None], HttpUrl] = {}

    def of(self, obj: PinnedObject) -> HttpUrl:
        """Raises ObjectMissing, as `url_below`."""
        key = obj.path, obj.locator
        url = self._known.get(key)
        if url is None:
            if len(self._known) >= _URLS_CAP:
                self._known.clear()
            url = self._known[key] = url_below(self.root, obj)
        return url


class MirroredPlaces:
    """The same objects below another URL. Implements HttpPlaces."""

    def __init__(self, places: HttpPlaces, base: HttpUrl) -> None:
        self.first_origin: Origin | None = base.origin
        self.own_origins = places.own_origins | {base.origin}
        self.listed_from_afar = places.listed_from_afar
        self._urls = UrlsBelow(base)

    def unread_list(self, obj: PinnedObject) -> None:
        return None

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        return self._urls.of(obj)
