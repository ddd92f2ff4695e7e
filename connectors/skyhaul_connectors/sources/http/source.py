"""Objects behind HTTP servers: below one root URL, or listed one by one."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator

from skyhaul_connectors.sources.catalogue.blocking import BlockingReader
from skyhaul_connectors.sources.http.channel import HttpChannel
from skyhaul_connectors.sources.http.network import Network
from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.pipelining import PipelineTrust
from skyhaul_connectors.sources.http.places import HttpCatalogue, HttpPlaces, MirroredPlaces
from skyhaul_connectors.sources.http.proxy import parse_proxy
from skyhaul_connectors.sources.http.redirects import KnownRedirects
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_connectors.sources.url import Origin, parse_url
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import PinnedObject


class HttpSource:
    """Implements Source and RoutedSource.

    Attributes:
        options: The job's, for this source.
        receive_buffer: SO_RCVBUF in bytes, None for the system's own; it counts for channels opened later.
    """

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
        self._redirects = KnownRedirects()
        self.receive_buffer = receive_buffer
        self._timeouts = timeouts or Timeouts()
        # Not by loop: what one connection has proved of a server holds for all.
        self._trust: dict[Origin, PipelineTrust] = {}
        # By loop, because connections of one loop share a buffer that is only theirs while they are read.
        # Weak, because a loop may end before the source does.
        self._networks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Network] = (
            weakref.WeakKeyDictionary()
        )
        self._mirrors: dict[str, MirroredPlaces] = {}
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
        return HttpChannel(self._places(route), self.options, self._redirects, network, events, route)

    def check_route(self, route: Route) -> None:
        """Raises UsageError for a proxy or a base URL that is none: before anything is dialled."""
        self._places(route)
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

    def _places(self, route: Route) -> HttpPlaces:
        """Raises UsageError for a base URL that is none."""
        text = route.base_url
        if text is None:
            return self._catalogue
        known = self._mirrors.get(text)
        if known is not None:
            return known
        try:
            mirror = self._mirrors[text] = MirroredPlaces(self._catalogue, parse_url(text))
        except ValueError as error:
            raise UsageError(f"source {self._name}: a link's base_url: {error}") from None
        return mirror
