"""Which shards of a lot a haul takes up, and how the others stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from skyhaul.dataset.commits.record_files import numbers_in, read_failure, recorded_in
from skyhaul.dataset.commits.sealed import is_sealed
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul_schemas import layout
from skyhaul_schemas.commit import FailureRecord
from skyhaul_schemas.plan import Shard


class Planned(Protocol):
    """The part of a plan that this module needs."""

    def shards(self, first: int = 0, stop: int | None = None) -> Iterator[Shard]: ...


@dataclass(frozen=True, slots=True)
class GroupPart:
    """Some shards of one group: each is in one of the last three."""

    group: int
    sealed: bool
    pending: set[int] = field(default_factory=set)
    recorded: set[int] = field(default_factory=set)
    """They have a commit record, whatever it says."""
    failed: dict[int, FailureRecord] = field(default_factory=dict)
    """They have failed for good."""


class Pending:
    """Shards that have no commit record and have not failed for good.

    A record that does not stand for its shard keeps it from being committed, so that it is not taken up
    either.

    Args:
        store: The dataset.
        stretches: The shards in question.
        again: Those that failed for good are taken up, too.
        mend: They have commit records, and what is broken of them is put right.

    Looked up in the dataset group by group, when a group's turn comes: hauling begins without looking at
    all of them, and of a sealed group neither records nor plan are read. A commit that appears later is
    noticed when the shard is claimed."""

    def __init__(
        self, store: DatasetStore, stretches: Stretches, *, again: bool = False, mend: bool = False
    ) -> None:
        self._store = store
        self._stretches = stretches
        self._again = again
        self._mend = mend

    def shards(self, plan: Planned) -> Iterator[Shard]:
        """The pending shards, rising."""
        for part in self.groups():
            yield from planned(plan, part.pending)

    def groups(self) -> Iterator[GroupPart]:
        """How they stand, group by group."""
        for group, numbers in self._stretches.groups():
            yield self._looked_at(group, set(numbers))

    def _looked_at(self, group: int, wanted: set[int]) -> GroupPart:
        if self._mend:
            return GroupPart(group, False, pending=wanted)
        if is_sealed(self._store, group):
            return GroupPart(group, True, recorded=wanted)
        failed = {}
        if not self._again:
            for shard in numbers_in(self._store, layout.FAILURES, group):
                failure = read_failure(self._store, shard) if shard in wanted else None
                if failure is not None and failure.final:
                    failed[shard] = failure
        recorded = wanted & recorded_in(self._store, group)
        for shard in recorded:
            failed.pop(shard, None)
        return GroupPart(group, False, wanted - recorded - failed.keys(), recorded, failed)


def planned(plan: Planned, numbers: set[int]) -> Iterator[Shard]:
    """The shards of these numbers, which are of one group, rising."""
    if numbers:
        found = plan.shards(min(numbers), max(numbers) + 1)
        yield from (shard for shard in found if shard.number in numbers)
