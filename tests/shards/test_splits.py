"""A row's split is a function of its object, its offset and the seed; vectorised as if done one by one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul.shards.splits import SplitRule, object_key, row_hashes

MASK = (1 << 64) - 1


def splitmix64(seed: int, index: int) -> int:
    """Output number `index` of the generator as its authors give it, step after step."""
    state = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


@given(st.integers(0, MASK), st.integers(0, (1 << 62)))
def test_hashes_are_those_of_the_published_generator(key: int, offset: int) -> None:
    found = row_hashes(np.array([key], np.uint64), np.array([offset], np.int64))
    assert int(found[0]) == splitmix64(key, offset)


def test_the_generator_gives_its_published_first_outputs() -> None:
    found = row_hashes(np.full(3, 1234567, np.uint64), np.arange(3))
    assert found.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_shares_are_kept_and_the_seed_deals_anew() -> None:
    rule = SplitRule({"train": 0.9, "test": 0.1})
    offsets = np.arange(100_000) * 117
    dealt = {}
    for seed in (0, 1):
        keys = np.full(len(offsets), object_key("s", "o", seed), np.uint64)
        dealt[seed] = rule.deal(row_hashes(keys, offsets))
        assert np.mean(dealt[seed] == rule.names.index("test")) == pytest.approx(0.1, abs=0.005)
    assert (dealt[0] != dealt[1]).mean() == pytest.approx(0.18, abs=0.01)


def test_every_hash_is_in_one_split_whatever_the_shares_round_to() -> None:
    rule = SplitRule(dict.fromkeys("abcdefghij", 0.1))
    bounds = [int(Fraction(n, 10) * (1 << 64)) for n in range(11)]
    hashes = np.array([0, *(b for b in bounds[1:-1]), *(b - 1 for b in bounds[1:])], np.uint64)
    assert rule.deal(hashes).tolist() == [0, *range(1, 10), *range(10)]
