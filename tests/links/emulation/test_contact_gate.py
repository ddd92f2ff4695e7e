"""The end of a contact reaches those who are connected, once."""

from __future__ import annotations

from skyhaul_connectors.links.emulation.contact_gate import ContactGate
from skyhaul_connectors.links.emulation.timeline import Timeline
from skyhaul_connectors.links.profile.contacts import Contact, ContactPlan
from skyhaul_schemas.errors import LinkClosed


class Station:
    """A gate with a hand-driven clock."""

    def __init__(self) -> None:
        self.at = 0.0
        self.timeline = Timeline()
        plan = ContactPlan([Contact(0, 10), Contact(20, 30)])
        self.gate = ContactGate("west", plan, self.timeline, lambda: self.at)

    def advance(self, to: float) -> None:
        self.at = to
        self.timeline.run(to)


def test_members_are_told_once_at_the_end_of_their_contact() -> None:
    station = Station()
    told: list[LinkClosed] = []
    station.gate.join(told.append)
    station.advance(9.9)
    assert not told
    station.advance(10)
    assert [str(error) for error in told] == ["link west: no contact now; the next opens in 10.0s"]
    station.advance(30)
    assert len(told) == 1


def test_who_left_before_is_not_told() -> None:
    station = Station()
    told: list[LinkClosed] = []
    station.gate.join(told.append)
    station.gate.leave(told.append)
    station.advance(10)
    assert not told


def test_each_contact_has_an_end_of_its_own() -> None:
    station = Station()
    told: list[LinkClosed] = []
    station.gate.join(told.append)
    station.advance(10)
    assert station.gate.refusal() is not None
    station.advance(21)
    assert station.gate.refusal() is None
    station.gate.join(told.append)
    station.advance(30)
    assert str(told[-1]) == "link west: no contact now, and its plan has no later one"
    assert len(told) == 2


def test_a_link_without_a_plan_never_closes() -> None:
    timeline = Timeline()
    gate = ContactGate("west", None, timeline, lambda: 0.0)
    gate.join(lambda error: None)
    assert gate.refusal() is None
    assert timeline.next_at() is None
