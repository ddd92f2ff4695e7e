"""Cycles, hours, rates and prices, and the words for them."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.links.contract.allowance import Allowance
from skyhaul_connectors.links.contract.cycles import Cycles
from skyhaul_connectors.links.contract.deadline import LinkOutlook, ObservedRate, OverflowDecision, capacity
from skyhaul_connectors.links.contract.rules import LinkRules
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.contract.timetable import Timetable
from skyhaul_connectors.links.profile.contacts import Contact, ContactPlan
from skyhaul_schemas.job.link_terms import (
    Cap,
    Hours,
    Price,
    due_at,
    parse_cap,
    parse_deadline,
    parse_hours,
    parse_price,
)
from skyhaul_schemas.job.model import LinkSpec
from skyhaul_schemas.units import NotAllowed

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def terms(**fields: object) -> LinkTerms:
    return LinkTerms.of("sat", LinkSpec.model_validate(fields))


# words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1TB/month", Cap(10**12)),
        ("50 GB / week", Cap(50 * 10**9, "week")),
        ("2GiB/day", Cap(2 * 1024**3, "day")),
        ("100GB/30d", Cap(10**11, 30)),
    ],
)
def test_caps_are_read(text: str, expected: Cap) -> None:
    assert parse_cap(text) == expected
    assert parse_cap(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["1TB", "1TB/fortnight", "x/month", "1TB/36h", "1TB/0d", "", "/month", 5, None]
)
def test_what_is_no_cap_is_refused(text: object) -> None:
    with pytest.raises(NotAllowed):
        parse_cap(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.25 USD/GB", Price(0.25, "USD")),
        ("0.25/GB", Price(0.25)),
        (2, Price(2.0)),
        ("100 eur/TB", Price(0.1, "EUR")),
        (0.0000001, Price(0.0000001)),
        (1e-9, Price(1e-9)),
        (0.12345678, Price(0.12345678)),
        (0, Price(0.0)),
        (0.0, Price(0.0)),
    ],
)
def test_prices_are_read(text: object, expected: Price) -> None:
    assert parse_price(text) == expected


@pytest.mark.parametrize(
    "value", [1e-10, 1.0000000001, 1e300, -0.5, float("nan"), float("inf"), True, "free", ""]
)
def test_a_price_that_cannot_be_kept_as_it_is_written_is_refused(value: object) -> None:
    with pytest.raises(NotAllowed):
        parse_price(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("23:00-07:00", Hours(frozenset(range(7)), 1380, 420)),
        ("Mon-Fri 08:00-18:00", Hours(frozenset(range(5)), 480, 1080)),
        ("sat,sun 0:00-24:00", Hours(frozenset((5, 6)), 0, 1440)),
        ("Fri-Mon 03:00-08:00", Hours(frozenset((4, 5, 6, 0)), 180, 480)),
    ],
)
def test_hours_are_read(text: str, expected: Hours) -> None:
    assert parse_hours(text) == expected
    assert parse_hours(str(expected)) == expected


@pytest.mark.parametrize(
    "text", ["25:00-07:00", "08:00", "08:00-08:00", "Foo 01:00-02:00", "8:61-9:00", 3, ""]
)
def test_what_is_no_hours_is_refused(text: object) -> None:
    with pytest.raises(NotAllowed):
        parse_hours(text)


def test_deadlines_are_spans_or_moments() -> None:
    assert due_at(parse_deadline("1h30m"), 1000.0) == 6400.0
    assert due_at(parse_deadline("2026-11-23T06:00Z"), 0.0) == at("2026-11-23T06:00")
    for text in ("2026-11-23T06:00", "soon", "0s", 7, "2026-13-01T00:00Z"):
        with pytest.raises(NotAllowed):
            parse_deadline(text)


# cycles


@pytest.mark.parametrize(
    ("period", "start", "moment", "first", "after"),
    [
        ("month", None, "2026-11-22T15:00", "2026-11-01", "2026-12-01"),
        ("month", 15, "2026-11-14T23:59", "2026-10-15", "2026-11-15"),
        ("month", 15, "2026-11-15T00:00", "2026-11-15", "2026-12-15"),
        ("month", 31, "2027-02-27T12:00", "2027-01-31", "2027-02-28"),
        ("month", 31, "2027-02-28T12:00", "2027-02-28", "2027-03-31"),
        ("month", date(2020, 3, 20), "2027-01-02T00:00", "2026-12-20", "2027-01-20"),
        ("week", None, "2026-11-22T15:00", "2026-11-16", "2026-11-23"),
        ("week", date(2026, 11, 19), "2026-11-22T15:00", "2026-11-19", "2026-11-26"),
        ("day", None, "2026-11-22T15:00", "2026-11-22", "2026-11-23"),
        (30, date(2026, 11, 15), "2026-11-14T15:00", "2026-10-16", "2026-11-15"),
    ],
)
def test_a_moment_lies_in_its_cycle(
    period: str | int, start: int | date | None, moment: str, first: str, after: str
) -> None:
    cycle = Cycles(period, start, "UTC").at(at(moment))  # type: ignore[arg-type]  # a Literal's values
    assert (cycle.name, cycle.start, cycle.end) == (first, at(first), at(after))


@given(
    st.datetimes(datetime(1999, 1, 1), datetime(2099, 1, 1)),
    st.sampled_from(["month", "week", "day", 1, 7, 30]),
    st.one_of(st.none(), st.integers(1, 31), st.dates(date(2001, 1, 1), date(2050, 1, 1))),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"]),
)
def test_cycles_follow_one_another_without_gap(
    moment: datetime, period: object, start: int | date | None, zone: str
) -> None:
    cycles = Cycles(period, start, zone)  # type: ignore[arg-type]  # a Literal's values
    when = moment.replace(tzinfo=UTC).timestamp()
    cycle = cycles.at(when)
    assert cycle.start <= when < cycle.end
    assert cycles.at(cycle.start) == cycle
    assert cycles.at(cycle.end).start == cycle.end
    assert cycles.at(cycle.end - 1) == cycle


# hours


def test_hours_run_past_midnight_and_belong_to_the_day_they_begin_on() -> None:
    table = Timetable([parse_hours("Fri 23:00-07:00")], "UTC")
    friday = at("2026-11-20")
    assert not table.holds(friday + 6 * 3600)
    assert table.holds(friday + 23 * 3600)
    assert table.holds(friday + 30 * 3600)
    assert not table.holds(friday + 31 * 3600)
    assert table.next_change(friday) == friday + 23 * 3600
    assert table.next_change(friday + 24 * 3600) == friday + 31 * 3600
    assert table.next_change(friday + 31 * 3600) == friday + 7 * 86400 + 23 * 3600


def test_hours_are_by_the_local_clock_also_when_it_is_put_back() -> None:
    table = Timetable([parse_hours("03:00-08:00")], "Europe/Berlin")
    for day in ("2026-10-24", "2026-10-25", "2026-10-26", "2027-03-28"):
        for hour in range(24):
            moment = at(f"{day}T{hour:02d}:30")
            local = datetime.fromtimestamp(moment, BERLIN)
            assert table.holds(moment) == (3 <= local.hour < 8), local


@given(
    st.lists(
        st.builds(
            Hours,
            st.frozensets(st.integers(0, 6), min_size=1),
            st.integers(0, 1439),
            st.integers(0, 1440),
        ).filter(lambda hours: hours.start != hours.stop),
        max_size=3,
    ),
    st.integers(0, 14 * 24 * 60),
)
def test_nothing_changes_before_the_next_change(hours: list[Hours], minute: int) -> None:
    table = Timetable(hours, "UTC")
    when = at("2026-11-02") + minute * 60
    change = table.next_change(when)
    held = table.which(when)
    horizon = min(change, when + 8 * 86400)
    assert all(table.which(when + s) == held for s in range(0, int(horizon - when), 1700))
    if change < math.inf:
        assert table.which(change) != held
        assert table.which(change - 1) == held


# rates, prices, rules


def test_the_first_rate_that_fits_holds() -> None:
    link = terms(
        rates={"Sun 00:00-24:00": "off", "08:00-18:00": "20Mbit/s"}, hours=["06:00-23:00"], timezone="UTC"
    )
    saturday = at("2026-11-21")
    assert link.rate(saturday + 5 * 3600) == 0
    assert link.rate(saturday + 7 * 3600) is None
    assert link.rate(saturday + 9 * 3600) == 20e6
    assert link.rate(saturday + 86400 + 9 * 3600) == 0
    assert link.opens_at(saturday + 9 * 3600) == saturday + 9 * 3600
    assert link.opens_at(saturday + 23.5 * 3600) == saturday + 54 * 3600
    assert terms(rates={"00:00-24:00": "off"}).opens_at(saturday) == math.inf


def test_a_price_counts_beyond_what_is_included() -> None:
    link = terms(price="0.25 USD/GB", included="1TB")
    assert link.cost(10**12) == 0
    assert link.cost(10**12 + 4 * 10**9) == pytest.approx(1.0)
    assert terms().cost(5) is None


def test_a_rehearsal_has_an_account_of_its_own() -> None:
    assert terms(account="contract 7").account == "contract 7"
    assert terms(emulate=True, down="1Mbit/s").account == "rehearsal of sat"


def test_a_cap_closes_until_the_cycle_ends_or_free_hours_begin() -> None:
    allowance = Allowance(capped=True)
    rules = LinkRules(terms(cap="1GB/month", free="20:00-21:00"), allowance=allowance)
    noon = at("2026-11-22T12:00")
    allowance.limit = 100_000
    assert rules.closure(noon) is None, "nobody has said that there is no more"
    allowance.exhausted = True
    assert rules.closure(noon) is None
    promise = allowance.promise(90_000)
    assert rules.room(noon) == 0
    assert rules.closure(noon) is None, "what was asked for comes in"
    rules.take(noon, 90_000)
    allowance.came(promise, 90_000)
    allowance.over(promise)
    closure = rules.closure(noon)
    assert closure is not None
    assert closure.spent
    assert closure.until == at("2026-11-22T20:00")
    assert rules.closure(at("2026-11-22T20:30")) is None
    rules.take(at("2026-11-22T20:30"), 77)
    assert (allowance.counted, allowance.free) == (90_000, 77)
    late = rules.closure(at("2026-11-30T22:00"))
    assert late is not None
    assert late.until == at("2026-12-01")


def test_a_rate_that_is_taken_back_while_it_is_looked_at_still_gives_a_rate() -> None:
    class Raced(LinkRules):
        """Another thread sets a rate and takes it back between any two looks."""

        looks = 0

        @property
        def override(self) -> float | None:
            self.looks += 1
            return 5e6 if self.looks % 2 else None

        @override.setter
        def override(self, rate: float | None) -> None:
            pass

    rules = Raced(LinkTerms.of("west", LinkSpec.model_validate({})))
    assert [rules.rate(at("2026-11-20")) for _ in range(3)] == [5e6, math.inf, 5e6]


@pytest.mark.parametrize(
    "text", ["02:30-04:00", "01:00-02:30", "02:10-02:50", "02:45-02:15", "Sun 02:30-03:30", "00:30-01:45"]
)
@pytest.mark.parametrize(
    ("zone", "days"),
    [
        ("Europe/Berlin", ("2026-10-24", "2027-03-27")),
        ("Australia/Lord_Howe", ("2026-04-04", "2026-10-03")),
        ("America/Havana", ("2026-10-31", "2027-03-13")),
        ("UTC", ("2026-10-24",)),
    ],
)
def test_the_next_change_is_the_first_one_also_where_the_clock_is_set(
    text: str, zone: str, days: tuple[str, ...]
) -> None:
    table = Timetable([parse_hours(text)], zone)
    for day in days:
        first = at(day) - 12 * 3600
        held = [table.which(first + 60 * minute) for minute in range(3 * 1440)]
        changes = [minute for minute in range(1, len(held)) if held[minute] != held[minute - 1]]
        for minute in range(0, changes[-1], 15):
            following = next(change for change in changes if change > minute)
            found = table.next_change(first + 60 * minute)
            assert found == first + 60 * following, (day, minute)


def test_a_rate_that_is_set_outranks_the_timetable() -> None:
    rules = LinkRules(terms(hours="03:00-08:00"), base=50e6)
    noon = at("2026-11-22T12:00")
    assert rules.rate(noon) == 0
    rules.override = 9e6
    assert rules.rate(noon) == 9e6
    assert rules.closure(noon) is None
    rules.override = 0.0
    closure = rules.closure(at("2026-11-22T04:00"))
    assert closure is not None
    assert closure.until == math.inf
    assert not closure.spent


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 200_000)), max_size=60))
def test_promises_and_takes_never_pass_the_limit(moves: list[tuple[int, int]]) -> None:
    allowance = Allowance(capped=True)
    allowance.limit = 1_000_000
    open_promises: dict[int, int] = {}
    for kind, amount in moves:
        if kind == 0 and amount <= allowance.room():
            open_promises[allowance.promise(amount)] = amount
        elif kind == 1 and open_promises:
            number, left = next(iter(open_promises.items()))
            part = min(left, amount)
            allowance.take(part, free=False)
            allowance.came(number, part)
            open_promises[number] = left - part
        elif kind == 2 and open_promises:
            number = next(iter(open_promises))
            del open_promises[number]
            allowance.over(number)
        assert allowance.promised == sum(open_promises.values())
        assert allowance.counted + allowance.promised <= allowance.limit


# the deadline


def test_what_links_can_carry_follows_contacts_hours_and_caps() -> None:
    day = at("2026-11-22")
    plain = LinkOutlook(8e6, terms(), None, day)
    assert capacity([plain], day, day + 3600) == 3600 * 1e6
    night = LinkOutlook(8e6, terms(hours="03:00-08:00"), None, day)
    assert capacity([night], day, day + 86400) == 5 * 3600 * 1e6
    slow = LinkOutlook(8e6, terms(rates={"00:00-12:00": "800kbit/s"}), None, day)
    assert capacity([slow], day, day + 86400) == pytest.approx(12 * 3600 * 1.1e6)
    passes = ContactPlan([Contact(100, 200), Contact(1000, 1100)])
    assert capacity([LinkOutlook(8e6, terms(), passes, day)], day, day + 1050) == pytest.approx(150e6)
    assert capacity([LinkOutlook(8e6, terms(), None, day, room=5.0)], day, day + 3600) == 5.0
    assert capacity([plain, LinkOutlook(None, terms(), None, day)], day, day + 1) is None
    assert capacity([plain], day, day - 1) == 0


def test_help_is_called_in_and_sent_away_with_a_margin() -> None:
    help_in = OverflowDecision()
    assert not help_in.look(100.0, 100.0)
    assert help_in.look(99.0, 100.0)
    assert help_in.look(110.0, 100.0), "no flapping at the border"
    assert not help_in.look(116.0, 100.0)
    assert not help_in.look(None, 100.0)
    assert help_in.look(0.0, 1.0)
    assert not help_in.look(0.0, 0.0), "nothing is left"


def test_an_observed_rate_forgets_pauses_and_follows_changes() -> None:
    seen = ObservedRate(None)
    seen.saw(0, 5e6, working=False)
    assert seen.rate is None
    for second in range(60):
        seen.saw(second, 10e6, working=True)
    assert seen.rate == pytest.approx(10e6)
    seen.saw(61, 0.0, working=False)
    for second in range(100, 140):
        seen.saw(second, 2e6, working=True)
    assert seen.rate is not None
    assert 2e6 < seen.rate < 2.3e6
