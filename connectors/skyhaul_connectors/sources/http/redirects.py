"""Where redirects may lead, and where they led lately.

At most three hops, never from https to http, only to the same host or to hosts that the job allows. Whether
the address behind a new name is private is checked when it is dialled.
"""

from __future__ import annotations

from collections import OrderedDict

from skyhaul_connectors.sources.http.options import HttpOptions
from skyhaul_connectors.sources.http.response.head import AnswerHead
from skyhaul_connectors.sources.url import HttpUrl
from skyhaul_schemas.errors import RedirectRefused

HOPS = 3
"""A mirror chooser, its mirror, a store behind that. Chosen, not measured."""


def follow(place: str, url: HttpUrl, head: AnswerHead, hops: int, options: HttpOptions) -> HttpUrl:
    """The next URL after `hops` redirects. User info never goes along.

    Args:
        place: What was asked for, for messages.
        url: The URL that was answered.
        head: The answer, of a status in `validation.REDIRECTS`.
        hops: Redirects that led to `url`.
        options: The source's.

    Raises:
        RedirectRefused: There is no next URL, or it may not be followed.
    """
    if hops >= HOPS:
        raise RedirectRefused(f"{place}: more than {HOPS} redirects")
    location = head.text(b"location")
    if location is None:
        raise RedirectRefused(f"{place}: a redirect ({head.status}) that says not where")
    try:
        target = url.joined(location.strip())
    except ValueError as error:
        raise RedirectRefused(f"{place}: a redirect to {error}") from None
    # Whoever is on the way could read and change what https was to protect. The other direction is safe.
    if url.origin.scheme == "https" and target.origin.scheme != "https":
        raise RedirectRefused(f"{place}: a redirect from https to http")
    # RFC 9110, section 4.2.4: user info in a URL from others is an error, and likely hides the true host.
    if target.userinfo is not None:
        raise RedirectRefused(f"{place}: a redirect with user info in it")
    # Against the last hop's host, not the first one's: each host on the way may lead on within itself.
    # Another port of it is let through, and gets no headers: these go by origin (`HttpOptions.headers_of`).
    host = target.origin.host
    if host != url.origin.host and not options.allows_redirect_to(host):
        raise RedirectRefused(
            f"{place}: a redirect to the host {host}; to allow it add it to options.redirect_hosts"
        )
    return target


_LIFE = 240.0
"""Seconds. Below the five minutes for which the shortest signed URLs are good. Chosen, not measured."""
_CAP = 4096
"""Redirects that are remembered, so that a list of millions of objects does not fill memory. Chosen."""


class KnownRedirects:
    """Where objects' URLs led lately, the last `_CAP` of them.

    Times are the asking loop's (seconds): loops share the system's monotonic clock.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[HttpUrl, tuple[float, HttpUrl]] = OrderedDict()

    def learn(self, start: HttpUrl, target: HttpUrl, now: float) -> None:
        self._known[start] = (now + _LIFE, target)
        self._known.move_to_end(start)
        if len(self._known) > _CAP:
            self._known.popitem(last=False)

    def get(self, start: HttpUrl, now: float) -> HttpUrl | None:
        found = self._known.get(start)
        return found[1] if found is not None and now < found[0] else None

    def forget(self, start: HttpUrl) -> None:
        self._known.pop(start, None)
