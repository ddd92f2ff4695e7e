"""How a job's sources are reached: over the plain network, or as their links say."""

from __future__ import annotations

from skyhaul_connectors.sources.protocol import Route, RoutedSource, Source
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.model import Job

PLAIN = Route()
"""No address to bind, no proxy, the source's own URL."""


def route_over(job: Job, link: str, name: str, source: Source) -> Route:
    """How the source `name` is reached over `link`. Raises UsageError where it cannot be reached so."""
    spec = job.links[link]
    base = spec.base_url.get(name) if isinstance(spec.base_url, dict) else spec.base_url
    route = Route(bind=spec.bind, proxy=spec.proxy, base_url=base)
    if route == PLAIN:
        return route
    if not isinstance(source, RoutedSource):
        raise UsageError(
            f"link {link}: bind, proxy and base_url hold for sources over HTTP, and {name} is none;"
            " take them out, or give the source a link of its own"
        )
    source.check_route(route)
    return route


def planning_route(job: Job, name: str) -> Route:
    """How the servers of source `name` are asked while a plan is made.

    As over its best link, but at the source's own URL."""
    # A base URL may be a mirror's, and links reach no plan (docs/adr/0001): two machines with other links
    # have to come to the same one.
    via = job.sources[name].via
    return Route(bind=job.links[via[0]].bind, proxy=job.links[via[0]].proxy) if via else PLAIN
