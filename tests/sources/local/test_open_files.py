"""Few open files: fewer connections and shards at a time, and a word where there are too few."""

from __future__ import annotations

import resource

import pytest

from skyhaul_connectors.sources.local import open_files
from skyhaul_connectors.sources.local.open_files import affordable, file_budget, raise_limit
from skyhaul_schemas.errors import UsageError


@pytest.mark.parametrize("limit", [40, 64, 100, 256, 1024, 65_536])
def test_what_may_be_open_fits_into_the_limit(limit: int) -> None:
    budget = file_budget(limit=limit, in_use=15)
    assert budget.connections >= 1
    assert budget.shards >= 1
    assert budget.connections + budget.shards + 15 + open_files.RESERVE <= limit


def test_too_few_are_told_with_the_limit_and_the_way_out() -> None:
    with pytest.raises(
        UsageError, match=r"open files is 30 \(ulimit -n\).* or more; raise it.*max_connections"
    ):
        file_budget(limit=30, in_use=20)


def test_a_listing_takes_what_it_may_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "_in_use", lambda: 10)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    assert affordable(4) == 4
    assert affordable(128) == file_budget(limit=64, in_use=10).connections < 64


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [(256, 4096, 4096), (1024, resource.RLIM_INFINITY, open_files.ENOUGH), (4096, 4096, None)],
)
def test_the_soft_limit_is_raised_as_far_as_is_allowed(
    soft: int, hard: int, wanted: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append(limits))
    raise_limit()
    assert asked == ([] if wanted is None else [(wanted, hard)])


def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 128))
    monkeypatch.setattr(resource, "setrlimit", refused)
    raise_limit()
