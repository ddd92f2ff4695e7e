"""Histograms and counts of values: parts merged in any order are the whole."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul.describing.histogram import Histogram
from skyhaul.describing.values import MOST, Values

finite = st.floats(allow_nan=False, allow_infinity=False)


def of(values: list[float]) -> Histogram:
    made = Histogram()
    made.add(np.array(values, dtype=np.float64))
    return made


@given(st.lists(st.lists(finite)), st.randoms())
def test_parts_in_any_order_make_the_whole(parts: list[list[float]], chance: object) -> None:
    whole = of([value for part in parts for value in part])
    chance.shuffle(parts)  # type: ignore[attr-defined]
    merged = Histogram()
    for part in parts:
        merged.merge(of(part))
    assert merged.to_json() == whole.to_json()


@given(st.lists(finite, min_size=1))
def test_a_quantile_is_off_by_less_than_a_bucket(values: list[float]) -> None:
    for name, found in of(values).quantiles().items():
        rank = max(1, math.ceil(float(name) * len(values)))
        exact = sorted(values)[rank - 1]
        assert abs(found - exact) <= abs(exact) / 256


def test_small_whole_numbers_are_exact() -> None:
    for number in range(513):
        assert of([float(number)] * 3).quantiles()["0.5"] == number


@pytest.mark.parametrize("parts", [1, 7])
def test_values_that_are_kept_are_counted_exactly_whatever_the_order(parts: int) -> None:
    texts = [f"value {number % (2 * MOST)}" for number in range(6 * MOST)]
    merged = Values()
    for part in range(parts):
        one = Values()
        one.add(pa.array(texts[part::parts]))
        merged.merge(one)
    told = merged.to_json()
    assert told["distinct"] is None
    assert set(told["counts"].values()) == {3}
    assert sum(told["counts"].values()) + told["others"] == len(texts)
    backwards = Values()
    for start in range(0, len(texts), 1000):
        backwards.add(pa.array(texts[::-1][start : start + 1000]))
    assert backwards.to_json() == told
