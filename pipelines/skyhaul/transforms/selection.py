"""`keep` and `drop`: records by what an expression says of each."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.transform_step import Transformed, filtered
from skyhaul.transforms.declaration import Target, TransformDeclaration
from skyhaul.transforms.expression import Expression
from skyhaul_schemas.job.transforms import Drop, Keep


@dataclass(frozen=True, slots=True)
class ByExpression:
    """Parts rows by an expression.

    Attributes:
        name: What they are counted under.
        expression: What is asked of each row; null is not true.
        keep: Whether rows for which it is true stay; else they go.
    """

    name: str
    expression: Expression
    keep: bool

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        # As in SQL's WHERE, null is not true: `keep` and `drop` of one expression do not make up the whole.
        true = pc.fill_null(self.expression.mask(batch), False)
        return filtered(batch, true if self.keep else pc.invert(true), self.name)


def _keep(rule: Keep, target: Target) -> ByExpression:
    return ByExpression(target.name, Expression(rule.keep, target.schema), keep=True)


def _drop(rule: Drop, target: Target) -> ByExpression:
    return ByExpression(target.name, Expression(rule.drop, target.schema), keep=False)


KEEP = TransformDeclaration("keep", "records for which an expression is true stay", Keep, _keep)
DROP = TransformDeclaration("drop", "records for which an expression is true go", Drop, _drop)
