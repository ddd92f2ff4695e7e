"""Contact plans: what is read, what is refused, and when a link is open."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyhaul_connectors.links.profile import contact_files
from skyhaul_connectors.links.profile.contact_files import load_contacts
from skyhaul_connectors.links.profile.contacts import Contact, ContactPlan
from skyhaul_schemas.errors import UsageError

DATA = Path(__file__).parents[2] / "data" / "links"


def test_csv_takes_seconds_durations_and_a_missing_rate() -> None:
    table = load_contacts(str(DATA / "passes.csv"))
    assert table.contacts == (
        Contact(0, 90, 20e6),
        Contact(600, 720, 45e6),
        Contact(1500, 1620, None),
    )


def test_absolute_times_are_placed_by_the_epoch() -> None:
    three = datetime(2026, 11, 22, 3, 0, tzinfo=UTC).timestamp()
    plan = load_contacts(str(DATA / "passes_absolute.csv")).since(three - 60)
    assert [(c.start, c.end, c.rate) for c in plan.pieces] == [
        (60, 570, 45e6),
        (60 + 100 * 60, 60 + 109 * 60, 9600),
    ]


def test_an_hdtn_plan_is_read_for_the_nodes_that_are_named() -> None:
    table = load_contacts(str(DATA / "contactPlan.json") + "#10-1")
    assert table.contacts == (Contact(0, 60, 10e6, 1.0), Contact(300, 420, 20e6, 1.0))


def test_an_hdtn_plan_of_several_nodes_asks_which() -> None:
    with pytest.raises(UsageError, match=r"joins several nodes \(10-1, 1-10\).*contactPlan.json#10-1"):
        load_contacts(str(DATA / "contactPlan.json"))
    with pytest.raises(UsageError, match="no contact 3-4; it has 10-1, 1-10"):
        load_contacts(str(DATA / "contactPlan.json") + "#3-4")


def test_unix_times_in_json_are_absolute(tmp_path: Path) -> None:
    path = tmp_path / "contactPlan.json"
    path.write_text('{"contacts":[{"source":1,"dest":2,"startTime":1763780400,"endTime":1763780460}]}')
    plan = load_contacts(str(path)).since(1763780000.0)
    assert plan.pieces == (Contact(400, 460),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,10\n5\n", "line 2: 1 columns; write start,end,rate"),
        ("0,10,1Mbit/s,x\n", "line 1: 4 columns"),
        ("0,10,fast\n", "line 1: found 'fast'"),
        ("start,end\n10,10\n", "line 2: the contact ends (10) no later than it starts (10)"),
        ("soon,10\n", "line 1: 'soon' is no time"),
        ("nan,10\n", "line 1: 'nan' is no time"),
        ("0,inf\n", "line 1: 'inf' is no time"),
        ("2026-11-22T03:00:00,10\n", "has no zone"),
        ("2026-11-22,10\n", "is a date; add a time of day"),
        ("2026-11-22T03:00:00Z,10m\n", "must both be absolute"),
        ("", "holds no contact"),
        ("start,end,rate\n", "holds no contact"),
        ('"0,10\n', "line 1"),
    ],
)
def test_a_bad_csv_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_contacts(str(path))
    assert message in str(caught.value)
    assert "bad.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "line 1"),
        ("[]", "no list 'contacts'"),
        ('{"contacts": {}}', "no list 'contacts'"),
        ('{"contacts": [7]}', "contact 1: it is no object"),
        ('{"contacts": [{"source":1,"dest":2,"endTime":5}]}', "contact 1: startTime must be a number"),
        ('{"contacts": [{"source":1,"dest":2,"startTime":"0","endTime":5}]}', "startTime must be a number"),
        ('{"contacts": [{"source":1,"dest":2,"startTime":NaN,"endTime":5}]}', "startTime must be a number"),
        ('{"contacts": [{"source":1,"dest":2,"startTime":9,"endTime":5}]}', "no later than it starts"),
        ('{"contacts": [{"dest":2,"startTime":0,"endTime":5}]}', "source must be a node number"),
        (
            '{"contacts": [{"source":1,"dest":2,"startTime":0,"endTime":5,"rateBitsPerSec":0}]}',
            "rateBitsPerSec must be above 0",
        ),
        (
            '{"contacts": [{"source":1,"dest":2,"startTime":0,"endTime":5,"owlt":-1}]}',
            "owlt must be 0 or more",
        ),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_json_plan_is_refused_with_its_contact(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "contactPlan.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_contacts(str(path))
    assert message in str(caught.value)


def test_a_plan_that_is_no_text_is_missing_or_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "b.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_contacts(str(binary))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_contacts(str(tmp_path / "none.csv"))
    large = tmp_path / "large.csv"
    large.write_text("0,1\n" * 100)
    monkeypatch.setattr(contact_files, "MAX_FILE_BYTES", 99)
    with pytest.raises(UsageError, match="larger than"):
        load_contacts(str(large))


def test_too_many_contacts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "many.csv"
    path.write_text("0,1\n" * 6)
    monkeypatch.setattr(contact_files, "MAX_CONTACTS", 5)
    with pytest.raises(UsageError, match="line 6: more than 5 contacts"):
        load_contacts(str(path))


_CONTACTS = st.lists(
    st.builds(
        lambda start, length, rate: Contact(start, start + length, rate),
        st.integers(0, 60).map(float),
        st.integers(1, 20).map(float),
        st.sampled_from([None, 1e6, 2e6, 3e6]),
    ),
    max_size=8,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(_CONTACTS, st.integers(-2, 90).map(lambda n: n / 1.0) | st.floats(-2, 90))
def test_a_plan_answers_as_the_list_of_contacts_does(contacts: list[Contact], at: float) -> None:
    """Against the slow way: look at every contact."""
    plan = ContactPlan(contacts)
    here = [c for c in contacts if c.start <= at < c.end]
    state = plan.state(at)
    assert (state is not None) == bool(here)
    if state is not None:
        best = max(here, key=lambda c: math.inf if c.rate is None else c.rate)
        assert state.rate == best.rate
        closing = at
        while any(c.start <= closing < c.end for c in contacts):
            closing = max(c.end for c in contacts if c.start <= closing < c.end)
        assert plan.next_closing(at) == closing
        assert plan.next_opening(at) == at
    else:
        assert plan.next_closing(at) == at
        assert plan.next_opening(at) == min((c.start for c in contacts if c.start > at), default=math.inf)
    assert plan.next_change(at) > at
