"""Objects behind HTTP servers: below one root URL, or listed one by one."""

from __future__ import annotations

import asyncio
import re
import weakref
from collections.abc import Callable, Iterator
from typing import Protocol

from skyhaul_connectors.sources.catalogue.blocking import BlockingReader
from skyhaul_connectors.sources.http.channel import HttpChannel
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.pipelining import PipelineTrust
from skyhaul_connectors.sources.http.proxy import parse_proxy
from skyhaul_connectors.sources.http.redirects import KnownRedirects
from skyhaul_connectors.sources.http.response.validation import validator_of
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import HttpUrl, Origin, parse_url
from skyhaul_connectors.sources.url_spelling import url_below
from skyhaul_schemas.errors import ObjectMissing, UsageError
from skyhaul_schemas.plan import KEY, PinnedObject
from skyhaul_schemas.printable import printable

_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""What no header's value may hold (RFC 9110, section 5.5); a tab may stand there."""
_URLS_CAP = 4096
"""Object URLs that are kept, since an object is asked for in many ranges."""


class HttpCatalogue(Protocol):
    """Which objects there are, and where each of them lies."""

    @property
    def root(self) -> HttpUrl | None:
        """The folder that object paths are relative to, or None where objects lie at several origins."""

    @property
    def own_origins(self) -> frozenset[Origin]:
        """The origins that the job itself names."""

    @property
    def listed_from_afar(self) -> bool:
        """Whether object URLs come from a list that somebody else serves."""

    def unread_list(self, obj: PinnedObject) -> Callable[[], None] | None:
        """What must be called, in a thread, before `url_of(obj)`: it reads the list that the object's URL
        is in. Raises CarriageError. None where the URL is known without."""

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        """Raises CarriageError or UsageError."""

    def url_of(self, obj: PinnedObject) -> HttpUrl:
        """With whatever is secret in it. Raises CarriageError."""

    def close(self) -> None:
        """Let go of what is open; nothing is asked for any more."""


class HttpSource:
    """Implements Source. `receive_buffer` (SO_RCVBUF in bytes) counts for channels opened from then on."""

    has_keys = False
    """Whether objects are named by keys, which an URL of its own stands for, whatever is in them."""

    def __init__(
        self,
        name: str,
        catalogue: HttpCatalogue,
        options: HttpOptions,
        *,
        timeouts: Timeouts | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self._name = name
        self._catalogue = catalogue
        self.options = options
        self.redirects = KnownRedirects()
        self.receive_buffer = receive_buffer
        self._timeouts = timeouts or Timeouts()
        self._trust: dict[Origin, PipelineTrust] = {}
        # By loop, because connections of one loop share a buffer that is only theirs while they are read.
        self._networks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Network] = (
            weakref.WeakKeyDictionary()
        )
        self._urls: dict[tuple[str | None, str, str | None], HttpUrl] = {}
        self._bases: dict[str, HttpUrl] = {}
        self._reader = BlockingReader(lambda events: self.connect(events, self.options.route))

    @property
    def name(self) -> str:
        return self._name

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        return self._catalogue.listing(left_out)

    def connect(self, events: ChannelEvents, route: Route) -> HttpChannel:
        loop = asyncio.get_running_loop()
        network = self._networks.get(loop)
        if network is None:
            network = Network(self._name, self._timeouts, self.receive_buffer, self._trust)
            self._networks[loop] = network
        network.receive_buffer = self.receive_buffer
        return HttpChannel(self, network, events, route)

    def check_route(self, route: Route) -> None:
        """Raises UsageError for a proxy or a base URL that is none."""
        if route.base_url is not None:
            self._base(route.base_url)
        if route.proxy is not None:
            try:
                parse_proxy(route.proxy)
            except ValueError as error:
                raise UsageError(f"source {self._name}: a link's proxy: {error}") from None

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return self._reader.read(obj, offset, length)

    def close(self) -> None:
        self._reader.close()
        self._catalogue.close()

    # HttpPlaces

    def first_origin(self, route: Route) -> Origin | None:
        root = self._root(route)
        return root.origin if root is not None else None

    def url_of(self, obj: PinnedObject, route: Route) -> HttpUrl:
        if obj.locator == KEY and not self.has_keys:
            raise ObjectMissing(
                f"{self._name}: {printable(obj.path)!r} is a key of a store, and no path here"
            )
        pinned = validator_of(obj)
        if pinned is not None and _CONTROLS.search(pinned[1]) is not None:
            # It would end its header line and begin others: a plan may come from anyone.
            raise ObjectMissing(f"{self._name}: {printable(obj.path)!r}: the plan's version cannot be used")
        root = self._base(route.base_url) if route.base_url is not None else self._catalogue.root
        if root is None or (route.base_url is None and obj.locator is not None):
            return self._catalogue.url_of(obj)
        key = (route.base_url, obj.path, obj.locator)
        url = self._urls.get(key)
        if url is None:
            if len(self._urls) >= _URLS_CAP:
                self._urls.clear()
            url = self._urls[key] = url_below(root, obj)
        return url

    @property
    def listed_from_afar(self) -> bool:
        return self._catalogue.listed_from_afar

    def unread_list(self, obj: PinnedObject, route: Route) -> Callable[[], None] | None:
        return None if route.base_url is not None else self._catalogue.unread_list(obj)

    def is_own(self, origin: Origin, route: Route) -> bool:
        if route.base_url is not None and origin == self._base(route.base_url).origin:
            return True
        return origin in self._catalogue.own_origins

    def _root(self, route: Route) -> HttpUrl | None:
        return self._base(route.base_url) if route.base_url is not None else self._catalogue.root

    def _base(self, text: str) -> HttpUrl:
        known = self._bases.get(text)
        if known is not None:
            return known
        try:
            base = self._bases[text] = parse_url(text)
        except ValueError as error:
            raise UsageError(f"source {self._name}: a link's base_url: {error}") from None
        return base
