"""Redirects that were followed lately. They are forgotten after a while (signed URLs expire), and at once
when the place that they led to refuses."""

from __future__ import annotations

from collections import OrderedDict

from skyhaul_connectors.sources.url import HttpUrl

_LIFE = 240.0
"""Seconds."""
_CAP = 4096


class KnownRedirects:
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
