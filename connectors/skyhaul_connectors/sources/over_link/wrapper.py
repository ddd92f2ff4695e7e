"""A source around another one: what a link changes is how its channels answer, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import Channel, ChannelEvents, HoldsBack, Route, Source
from skyhaul_schemas.plan import PinnedObject


class SourceWrapper(ABC):
    """`inner`, over `link`. A subclass says how channels are connected.

    Listing and plan-time reads are the inner source's own, neither delayed nor counted: they are done while a
    plan is made, before there is a link."""

    def __init__(self, inner: Source, link: SharedLink) -> None:
        self._inner = inner
        self._link = link

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def link(self) -> SharedLink:
        return self._link

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return self._inner.listing(left_out)

    @abstractmethod
    def connect(self, events: ChannelEvents, route: Route) -> Channel:
        """As `Source`; over the link."""

    def holds_back(self) -> bool:
        """As `HoldsBack`: whether something waits for its turn on the link, here or further in."""
        # Wrappers stand in one another: the engine asks the outermost alone.
        return isinstance(self._inner, HoldsBack) and self._inner.holds_back()

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return self._inner.read_now(obj, offset, length)

    def close(self) -> None:
        self._inner.close()
