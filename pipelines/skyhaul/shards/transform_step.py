"""The place between decode and write where record-batch transforms sit: filters, scores, models.

A transform sees rows of the shard's schema, ids and provenance included, in the shard's order and before
they are parted into splits, whose choice is by id and does not depend on it. It may judge a row by its own
values and by rows before it; how rows are cut into batches is no part of a plan, and must make no difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True)
class Transformed:
    """What is left of a batch, and how many rows each rule took out of it."""

    batch: pa.RecordBatch
    filtered: Mapping[str, int] = field(default_factory=dict)


class Transform(Protocol):
    """A step between decoding and writing. Called batch by batch, in the shard's order."""

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        """The batch of the same schema without the rows that a rule took; the counts must add up."""


def filtered(batch: pa.RecordBatch, stay: pa.Array, name: str) -> Transformed:
    """`batch` where `stay` is true.

    Args:
        batch: Rows of a shard.
        stay: A boolean for each row, none of them null.
        name: What the rows that go are counted under.
    """
    left = pc.sum(stay).as_py() or 0
    if left == batch.num_rows:
        return Transformed(batch)
    return Transformed(batch.filter(stay), {name: batch.num_rows - left})


def apply(
    transforms: Sequence[Transform], batch: pa.RecordBatch, filtered_by: dict[str, int]
) -> pa.RecordBatch:
    """`batch` after all transforms in order; what each rule took is added to `filtered_by`."""
    for transform in transforms:
        before = batch.num_rows
        if not before:
            break
        result = transform(batch)
        taken = sum(result.filtered.values())
        # Every record that was read is written, filtered, rejected or passed over, and counted as that.
        if result.batch.num_rows + taken != before:
            raise ValueError(
                f"transform {transform!r} lost rows: {before} in,"
                f" {result.batch.num_rows} out, {taken} filtered"
            )
        for rule, count in result.filtered.items():
            filtered_by[rule] = filtered_by.get(rule, 0) + count
        batch = result.batch
    return batch
