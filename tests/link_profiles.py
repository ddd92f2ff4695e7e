"""Links with any mixture of trouble, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile import Episodes, LinkProfile
from skyhaul_connectors.links.profile.quantiles import Quantiles

STEADY = LinkProfile(down=10e6, up=1e6, rtt=0.05)

_LASTS = Quantiles(((0, 0.1), (0.5, 2), (1, 500)))

profiles = st.builds(
    lambda handover, outages, per_hour, contacts, spread: STEADY.with_(
        handover_every=handover[0],
        handover_gap=handover[1],
        outages=outages,
        episodes=(Episodes(per_hour, _LASTS),) if per_hour else (),
        contacts=ContactTable(tuple(contacts)) if contacts else None,
        rate_quantiles=Quantiles(((0, 1.0), (0.5, 10.0), (1, 20.0))) if spread else None,
        vary_every=0.7,
    ),
    st.sampled_from([(0.0, 0.0), (15.0, 0.1), (0.3, 0.1), (7.0, 6.5)]),
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 30)), max_size=3).map(tuple),
    st.sampled_from([0, 0, 40, 200]),
    st.lists(
        st.builds(
            lambda start, length, rate: Contact(start, start + length, rate),
            st.floats(0, 100),
            st.floats(0.1, 50),
            st.sampled_from([None, 5e6]),
        ),
        max_size=3,
    ),
    st.booleans(),
)
"""Links with any mixture of trouble; the rate is at most 20 Mbit/s."""
