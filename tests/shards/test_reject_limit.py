"""The ceiling on rejects: what is above it fails early, and what is below it does not."""

from __future__ import annotations

import pytest

from skyhaul.shards.reject_limit import ENOUGH, RejectWatch
from skyhaul_connectors.formats.protocol import Reject
from skyhaul_schemas.errors import DecodeError, TooManyRejects
from skyhaul_schemas.job.fieldtypes import Ceiling
from skyhaul_schemas.plan import Chunk, PinnedObject, Shard

OBJECT = PinnedObject("s", "a\n.jsonl", 9, "mtime:1")
SHARD = Shard(3, (Chunk(3, 0, OBJECT, 0, 9),))


def watch(**ceiling: float) -> RejectWatch:
    made = RejectWatch(SHARD, Ceiling(**ceiling))  # type: ignore[arg-type]  # share and count alike
    made.note(OBJECT, [Reject(17, 4, "not JSON", b"{"), Reject(30, 1, "later", b"")])
    return made


def test_without_a_ceiling_everything_may_be_rejected() -> None:
    RejectWatch(SHARD, None).check(10**6, 10**6, ended=True)


def test_a_share_says_nothing_before_enough_records_are_read() -> None:
    watch(share=0.05).check(ENOUGH - 1, ENOUGH - 1, ended=False)
    with pytest.raises(TooManyRejects):
        watch(share=0.05).check(ENOUGH - 1, ENOUGH - 1, ended=True)
    with pytest.raises(TooManyRejects):
        watch(share=0.05).check(ENOUGH, 51, ended=False)


def test_exactly_the_ceiling_is_allowed() -> None:
    watch(share=0.05).check(ENOUGH, 50, ended=True)
    watch(count=50).check(ENOUGH, 50, ended=True)
    watch(share=0, count=0).check(ENOUGH, 0, ended=True)


def test_a_count_fails_at_once() -> None:
    with pytest.raises(TooManyRejects):
        watch(count=1).check(2, 2, ended=False)


def test_the_failure_names_shard_share_ceiling_and_the_first_reject() -> None:
    with pytest.raises(TooManyRejects) as caught:
        watch(share=0.05).check(2000, 1500, ended=False)
    assert isinstance(caught.value, DecodeError), "such a failure is final"
    assert str(caught.value) == (
        "shard 3 of source s: 1,500 of the first 2,000 records are rejects (75.0%), `max_rejects` allows 5%;"
        " the first of them: a\\n.jsonl at byte 17: not JSON; look at the source and at how the job reads it"
    )
