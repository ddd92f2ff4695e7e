"""A haul in long strides: closed forms that a pen and paper give, and what holds for any links."""

from __future__ import annotations

import math

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from skyhaul.forecast.link_in_time import Limit, SimulatedLink
from skyhaul.forecast.simulation import SimulatedSource, simulate
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import Episodes, LinkProfile
from skyhaul_connectors.links.profile.quantiles import Quantiles
from skyhaul_schemas.job.model import LinkSpec

MBIT = 1e6
PLAIN = LinkProfile(down=80 * MBIT, up=8 * MBIT, rtt=0.05)
"""10 MB of IP a second."""


def source(size: float, overhead: float = 0.0, **shares: float) -> SimulatedSource:
    return SimulatedSource("s", round(size), shares, overhead)


def test_a_steady_link_takes_its_bytes_over_its_share_of_the_rate() -> None:
    found = simulate([source(900e6, overhead=2.0, a=0.9)], [SimulatedLink("a", PLAIN)], seed=0)
    assert found.took == pytest.approx(2.0 + 100.0)
    assert found.payload["a"] == pytest.approx(900e6)
    assert found.left == 0


def test_two_links_add_up() -> None:
    links = [SimulatedLink("a", PLAIN), SimulatedLink("b", PLAIN.with_(down=40 * MBIT))]
    found = simulate([source(1.5e9, a=1.0, b=1.0)], links, seed=0)
    assert found.took == pytest.approx(100.0)
    assert found.payload["a"] == pytest.approx(1e9)


def test_two_sources_on_a_link_take_half_each_until_one_is_done() -> None:
    sources = [
        SimulatedSource("small", 100_000_000, {"a": 1.0}),
        SimulatedSource("big", 900_000_000, {"a": 1.0}),
    ]
    found = simulate(sources, [SimulatedLink("a", PLAIN)], seed=0)
    assert found.done == {"small": pytest.approx(20.0), "big": pytest.approx(100.0)}
    assert found.spent["big"][Limit.OTHERS] == pytest.approx(10.0, rel=0.1)


def test_a_source_of_few_connections_leaves_the_rest_of_a_link_to_others() -> None:
    sources = [
        SimulatedSource("shy", 100_000_000, {"a": 0.1}),
        SimulatedSource("bold", 900_000_000, {"a": 1.0}),
    ]
    found = simulate(sources, [SimulatedLink("a", PLAIN)], seed=0)
    assert found.done == {"shy": pytest.approx(100.0), "bold": pytest.approx(100.0)}


def test_outages_cost_their_length_and_the_recovery() -> None:
    link = PLAIN.with_(outages=((10.0, 5.0), (30.0, 5.0)))
    found = simulate([source(400e6, a=1.0)], [SimulatedLink("a", link, outage_lost=0.5)], seed=0)
    assert found.took == pytest.approx(40.0 + 10.0 + 1.0)
    assert found.spent["s"][Limit.OUTAGES] == pytest.approx(11.0)


def test_contacts_by_the_clock_open_and_close_the_link() -> None:
    passes = tuple(Contact(1000.0 + 100 * n, 1010.0 + 100 * n, absolute=True) for n in range(50))
    link = PLAIN.with_(contacts=ContactTable(passes))
    found = simulate([source(450e6, a=1.0)], [SimulatedLink("a", link)], seed=0, epoch=900.0)
    assert found.took == pytest.approx(100.0 + 4 * 100.0 + 5.0)
    assert found.spent["s"][Limit.CONTACTS] == pytest.approx(100.0 + 4 * 90.0)


def test_what_the_last_contact_leaves_is_never_done() -> None:
    link = PLAIN.with_(contacts=ContactTable((Contact(0.0, 10.0),)))
    found = simulate([source(450e6, a=1.0)], [SimulatedLink("a", link)], seed=0)
    assert math.isinf(found.took)
    assert found.left == pytest.approx(350e6)


def terms(**fields: object) -> LinkTerms:
    return LinkTerms.of("a", LinkSpec.model_validate({"down": "80Mbit/s", **fields}))


def test_hours_close_the_link_by_the_clock() -> None:
    # 2027-01-15T08:00Z is 1800000000: used from 09:00 to 09:30 and again a day later.
    link = SimulatedLink("a", PLAIN, terms=terms(hours="09:00-09:30"))
    found = simulate([source(20e9, a=1.0)], [link], seed=0, epoch=1_800_000_000.0)
    assert found.took == pytest.approx(3600 + 86400 + 200)
    assert found.spent["s"][Limit.HOURS] == pytest.approx(3600 + 86400 - 1800)


def test_rates_by_the_hour_hold() -> None:
    link = SimulatedLink("a", PLAIN, terms=terms(rates={"08:00-09:00": "8Mbit/s"}))
    found = simulate([source(4.6e9, a=1.0)], [link], seed=0, epoch=1_800_000_000.0)
    assert found.took == pytest.approx(3600 + 100)


def test_a_cap_closes_the_link_until_the_next_cycle_and_free_hours_do_not_count() -> None:
    capped = SimulatedLink("a", PLAIN, terms=terms(cap="10GB/day"))
    found = simulate([source(25e9, a=1.0)], [capped], seed=0, epoch=1_800_000_000.0)
    midnight = 16 * 3600
    assert found.took == pytest.approx(midnight + 86400 + 500)
    assert found.spent["s"][Limit.CAP] == pytest.approx(midnight - 1000 + 86400 - 1000)
    free = SimulatedLink("a", PLAIN, terms=terms(cap="10GB/day", free="09:00-10:00"))
    found = simulate([source(25e9, a=1.0)], [free], seed=0, epoch=1_800_000_000.0)
    assert found.took == pytest.approx(3600 + 1500)


def test_what_was_used_before_and_what_the_wire_adds_count() -> None:
    capped = SimulatedLink("a", PLAIN, terms=terms(cap="10GB/day"), used=5_000_000_000, wire=1.25)
    found = simulate([source(4e9, a=1.0)], [capped], seed=0, epoch=1_800_000_000.0)
    assert found.took == pytest.approx(400)
    found = simulate([source(4.1e9, a=1.0)], [capped], seed=0, epoch=1_800_000_000.0)
    assert found.took == pytest.approx(16 * 3600 + 10)


def test_the_price_counts_beyond_what_a_cycle_includes() -> None:
    priced = SimulatedLink("a", PLAIN, terms=terms(price="0.5 USD/GB", included="4GB"), used=3_000_000_000)
    found = simulate([source(10e9, a=1.0)], [priced], seed=0, epoch=1_800_000_000.0)
    assert found.cost["a"] == pytest.approx(4.5)


def test_the_last_resort_carries_while_others_are_down() -> None:
    first = PLAIN.with_(outages=((100.0, 60.0),))
    links = [
        SimulatedLink("a", first, terms=terms()),
        SimulatedLink("b", PLAIN, terms=terms(role="last-resort")),
    ]
    found = simulate([source(1.4e9, a=1.0, b=0.5)], links, seed=0)
    assert found.payload["b"] == pytest.approx(50 * 5e6)
    assert found.took == pytest.approx(160 + (1.4e9 - 1e9 - 250e6) / 10e6)


def test_overflow_carries_while_the_deadline_would_be_missed() -> None:
    links = [
        SimulatedLink("a", PLAIN, terms=terms()),
        SimulatedLink("b", PLAIN, terms=terms(role="overflow")),
    ]
    work = [source(2e9, a=1.0, b=1.0)]
    assert simulate(work, links, seed=0).took == pytest.approx(200)
    assert simulate(work, links, seed=0, deadline=300).payload["b"] == 0
    assert simulate(work, links, seed=0, deadline=50).took == pytest.approx(100)


rates = st.floats(0.1, 500.0).map(lambda rate: rate * MBIT)
luck = st.builds(
    Episodes, st.floats(1.0, 200.0), st.just(Quantiles(((0, 0.3), (0.5, 2.0), (1, 30.0)))),
    st.sampled_from([0.0, 0.4]),
)  # fmt: skip
profiles = st.builds(
    lambda down, rtt, every, gap, episodes: LinkProfile(
        down=down, up=down / 10, rtt=rtt, handover_every=every, handover_gap=gap, episodes=tuple(episodes)
    ),
    rates, st.floats(0.0, 0.7), st.floats(15.0, 900.0), st.floats(0.0, 5.0), st.lists(luck, max_size=2),
)  # fmt: skip


# A failing example is small as it is: shrinking links and bytes takes minutes.
@pytest.mark.timeout(300)  # An example may be a haul of two months: a million steps, thrice.
@settings(max_examples=60, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    st.lists(profiles, min_size=1, max_size=3),
    st.lists(st.floats(1e3, 3e9), min_size=1, max_size=3),
    st.floats(0.05, 1.0),
    st.integers(0, 1000),
)
def test_every_byte_arrives_once_and_never_faster_than_the_links(
    links: list[LinkProfile], sizes: list[float], share: float, seed: int
) -> None:
    named = [SimulatedLink(f"l{n}", profile, outage_lost=0.2) for n, profile in enumerate(links)]
    sources = [
        SimulatedSource(f"s{n}", round(size), {link.name: share for link in named[n % len(named) :]})
        for n, size in enumerate(sizes)
    ]
    found = simulate(sources, named, seed=seed)
    total = sum(source.bytes for source in sources)
    assert sum(found.payload.values()) == pytest.approx(total, rel=1e-6, abs=2)
    assert found.left == 0
    for link in named:
        # Floats: a byte in 10^9 is nothing.
        assert found.payload[link.name] * 8 <= link.profile.down * share * found.took * (1 + 1e-6) + 8
    for source in sources:
        assert sum(found.spent[source.name].values()) == pytest.approx(found.done[source.name], rel=1e-6)
    again = simulate(sources, named, seed=seed)
    assert again == found
    more = simulate(
        [SimulatedSource(s.name, s.bytes + 10_000_000, s.shares) for s in sources], named, seed=seed
    )
    assert more.took >= found.took
