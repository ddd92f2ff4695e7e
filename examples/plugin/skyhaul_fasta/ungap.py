"""A transform: `ungap` takes the marks of gaps and stops out of aligned sequences.

    transforms:
      - ungap: {marks: "-*"}

A record of which nothing is left is taken out, and counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.plugins import Target, TransformDeclaration, Transformed, TransformOptions, UsageError, filtered


class UngapOptions(TransformOptions):
    """column: of text; by default the usual one of the schema. marks: characters that are no residues."""

    column: str | None = None
    marks: str = "-.*"


@dataclass(frozen=True)
class Ungapped:
    """The transform of one shard."""

    column: str
    pattern: str
    name: str

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        index = batch.schema.get_field_index(self.column)
        texts = pc.replace_substring_regex(batch.column(index), self.pattern, "")
        left = batch.set_column(index, batch.schema.field(index), texts)
        return filtered(left, pc.fill_null(pc.not_equal(texts, ""), True), self.name)


def _build(options: UngapOptions, target: Target) -> Ungapped:
    if not options.marks:
        raise UsageError("transform `ungap`: `marks` names no character")
    return Ungapped(target.column(options.column), f"[{re.escape(options.marks)}]", target.name)


UNGAP = TransformDeclaration("ungap", "sequences without gaps and stops", UngapOptions, _build)
