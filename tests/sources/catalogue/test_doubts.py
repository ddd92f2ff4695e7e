"""How often an odd answer is asked again: by its class, and by what asking again has brought so far."""

from __future__ import annotations

import pytest

from skyhaul_connectors.sources.catalogue.doubts import Doubts, pause
from skyhaul_schemas.errors import (
    AccessRefused,
    CarriageError,
    ChecksumMismatch,
    MalformedAnswer,
    ObjectMissing,
    RangeRefused,
    RangesIgnored,
    RedirectRefused,
    SourceChanged,
    TlsFailed,
)

DOUBTED = [
    error("odd") for error in (RangeRefused, RangesIgnored, MalformedAnswer, ObjectMissing, SourceChanged)
]


@pytest.mark.parametrize("error", DOUBTED, ids=lambda error: error.kind)
def test_more_tries_once_a_doubt_was_right_and_fewer_where_answers_prove_true(error: CarriageError) -> None:
    doubts = Doubts()
    assert doubts.tries(error) == 6
    for _ in range(3):
        doubts.true()
    assert doubts.tries(error) == 3
    doubts.right(after_doubt=True)
    assert doubts.tries(error) == 12


def test_a_right_answer_at_once_changes_nothing() -> None:
    doubts = Doubts()
    doubts.right(after_doubt=False)
    assert doubts.tries(ObjectMissing("gone")) == 6


@pytest.mark.parametrize("error", [AccessRefused("403"), RedirectRefused("elsewhere")], ids=lambda e: e.kind)
def test_refused_access_is_doubted_only_where_it_was_granted_before(error: CarriageError) -> None:
    doubts = Doubts()
    assert doubts.tries(error) == 1
    doubts.right(after_doubt=False)
    assert doubts.tries(error) == 6
    doubts.right(after_doubt=True)
    assert doubts.tries(error) == 12, "one machine of many refuses"


@pytest.mark.parametrize("error", [ChecksumMismatch("wrong"), TlsFailed("expired")], ids=lambda e: e.kind)
def test_what_is_no_answer_has_its_own_rules(error: CarriageError) -> None:
    assert Doubts().tries(error) == 1


def test_all_tries_of_a_range_take_less_than_half_a_minute() -> None:
    assert pause(1) == 0.0
    assert sum(pause(tries) for tries in range(1, 12)) < 20.0
