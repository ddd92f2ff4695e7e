"""`min_length` and `max_length`: records by the length of a column."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.transform_step import Transformed, filtered
from skyhaul.transforms.declaration import Target, TransformDeclaration
from skyhaul_schemas.job.transforms import MaxLength, MinLength


@dataclass(frozen=True, slots=True)
class ByLength:
    """Keeps rows with least <= length of the column <= most; a null has no length, and stays.

    Attributes:
        name: What the rows that go are counted under.
        column: Of text, which is measured in characters, or of bytes.
        least: Characters or bytes; None: `most` counts.
        most: Likewise; None: `least` counts.
    """

    name: str
    column: str
    least: int | None = None
    most: int | None = None

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        values = batch.column(self.column)
        text = pa.types.is_string(values.type) or pa.types.is_large_string(values.type)
        length = pc.utf8_length(values) if text else pc.binary_length(values)
        if self.least is not None:
            fits = pc.greater_equal(length, self.least)
        else:
            fits = pc.less_equal(length, self.most)
        return filtered(batch, pc.fill_null(fits, True), self.name)


def _least(rule: MinLength, target: Target) -> ByLength:
    return ByLength(target.name, target.column(rule.column, text=False), least=rule.min_length)


def _most(rule: MaxLength, target: Target) -> ByLength:
    return ByLength(target.name, target.column(rule.column, text=False), most=rule.max_length)


MIN_LENGTH = TransformDeclaration("min_length", "shorter records go", MinLength, _least)
MAX_LENGTH = TransformDeclaration("max_length", "longer records go", MaxLength, _most)
