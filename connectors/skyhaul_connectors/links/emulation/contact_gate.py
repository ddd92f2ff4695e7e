"""Closes what is open when a contact ends."""

from __future__ import annotations

import math
from collections.abc import Callable

from skyhaul_connectors.links.emulation.timeline import Timeline
from skyhaul_connectors.links.profile.contacts import ContactPlan
from skyhaul_schemas.errors import LinkClosed
from skyhaul_schemas.units import format_duration


class ContactGate:
    """Those who joined are told of the end of the contact in which they did; each is told once."""

    def __init__(
        self, name: str, plan: ContactPlan | None, timeline: Timeline, now: Callable[[], float]
    ) -> None:
        self._name = name
        self._plan = plan
        self._timeline = timeline
        self._now = now
        # A dict for its order: whoever joined first is told first, in every run alike.
        self._members: dict[Callable[[LinkClosed], None], None] = {}
        self._closing: float | None = None

    def refusal(self) -> LinkClosed | None:
        """The error to close a new connection with, or None while a contact is open."""
        now = self._now()
        if self._plan is None or self._plan.state(now) is not None:
            return None
        return self._error(now)

    def join(self, closed: Callable[[LinkClosed], None]) -> None:
        """Call `closed` when the contact that is open now ends, unless `leave` comes first."""
        if self._plan is None:
            return
        self._members[closed] = None
        # One entry of the timeline for all members of a contact: a haul opens many channels in each.
        if self._closing is None:
            self._closing = self._plan.next_closing(self._now())
            self._timeline.at(self._closing, self._close)

    def leave(self, closed: Callable[[LinkClosed], None]) -> None:
        self._members.pop(closed, None)

    def _close(self) -> None:
        # Taken out first: who is told may close others that joined (a paced channel its emulated one).
        members, self._members = list(self._members), {}
        at, self._closing = self._closing, None
        # As of the planned moment: a timer may fire a little early (`SLACK`), when the contact is still open.
        error = self._error(at if at is not None else self._now())
        for member in members:
            member(error)

    def _error(self, at: float) -> LinkClosed:
        opening = self._plan.next_opening(at) if self._plan is not None else math.inf
        if opening == math.inf:
            return LinkClosed(f"link {self._name}: no contact now, and its plan has no later one")
        return LinkClosed(
            f"link {self._name}: no contact now; the next opens in {format_duration(opening - at)}"
        )
