"""Objects by a rule: any range without the rest, the same for everyone, and pinned like others."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from skyhaul_connectors.sources.memory.synthetic import Rule
from skyhaul_connectors.sources.opening import open_source, selection
from skyhaul_schemas.errors import ObjectMissing, SourceChanged, UsageError
from skyhaul_schemas.job.model import SourceSpec


def spec(url: str) -> SourceSpec:
    return SourceSpec.model_validate({"url": url})


def test_ranges_put_together_are_the_object() -> None:
    source = open_source("made", spec("synthetic://x?count=20&size=1kB&seed=3"))
    dice = random.Random(4)
    listed = list(source.listing())
    assert len({obj.path for obj in listed}) == 20
    assert all(500 <= obj.size <= 1_500 for obj in listed)
    for obj in listed:
        whole = source.read_now(obj, 0, obj.size)
        assert len(whole) == obj.size
        assert whole.isascii()
        assert {len(line) for line in whole.splitlines()[:-1]} == {63}
        for _ in range(20):
            start = dice.randrange(obj.size)
            length = dice.randrange(1, obj.size - start + 1)
            assert source.read_now(obj, start, length) == whole[start : start + length]
    assert len({source.read_now(obj, 0, 500) for obj in listed}) == 20


def test_a_rule_makes_the_same_everywhere_and_another_seed_something_else() -> None:
    rule = Rule(10, 4_000, 7)
    assert Rule(10, 4_000, 7).read(3, 0, 200) == rule.read(3, 0, 200) != Rule(10, 4_000, 8).read(3, 0, 200)
    assert rule.read(3, 0, 16) == b"htrci6ijk2awdsxd"
    assert selection(spec("synthetic://any?count=10&seed=7")) == ["count=10&size=4000&seed=7"]


def test_what_the_rule_does_not_make_is_refused() -> None:
    source = open_source("made", spec("synthetic://x?count=5&size=1kB"))
    obj = next(iter(source.listing()))
    with pytest.raises(ObjectMissing):
        source.read_now(replace(obj, path="000000/000000005.txt"), 0, 1)
    with pytest.raises(SourceChanged):
        source.read_now(replace(obj, version="vid:synthetic-1-1000"), 0, 1)


@pytest.mark.parametrize(
    "query",
    ["", "?size=4kB", "?count=0", "?count=5&size=much", "?count=5&more=1", "/path?count=3", "?count=x"],
)
def test_urls_that_say_something_else_are_refused(query: str) -> None:
    with pytest.raises(UsageError, match="write synthetic://NAME"):
        open_source("made", spec(f"synthetic://x{query}"))
