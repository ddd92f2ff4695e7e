"""The rules that look at each record alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.transform_step import Transformed
from skyhaul.transforms.expression import Expression


@dataclass(frozen=True, slots=True)
class ByExpression:
    """keep: rows for which it is true stay, else they go."""

    name: str
    expression: Expression
    keep: bool

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        true = pc.fill_null(self.expression.mask(batch), False)
        return filtered(batch, true if self.keep else pc.invert(true), self.name)


@dataclass(frozen=True, slots=True)
class ByLength:
    """least <= length of the column <= most; a null has no length, and stays."""

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


@dataclass(frozen=True, slots=True)
class Normalised:
    """The column in a Unicode normal form, as Python's `unicodedata` knows Unicode.

    Not by Arrow's utf8_normalize: up to pyarrow 25 it leaves NFC and NFKC decomposed
    (https://github.com/apache/arrow/issues/51225). Only rows beyond ASCII are walked over."""

    column: str
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        index = batch.schema.get_field_index(self.column)
        values = batch.column(index)
        beyond = pc.fill_null(pc.invert(pc.string_is_ascii(values)), False)
        if not pc.any(beyond).as_py():
            return Transformed(batch)
        form = self.form
        made = [normalize(form, text) for text in values.filter(beyond).to_pylist()]
        fresh = pc.replace_with_mask(values, beyond, pa.array(made, values.type))
        return Transformed(batch.set_column(index, batch.schema.field(index), fresh))


def filtered(batch: pa.RecordBatch, stay: pa.Array, name: str) -> Transformed:
    """`batch` where `stay` is true; the rest is counted under `name`."""
    left = pc.sum(stay).as_py() or 0
    if left == batch.num_rows:
        return Transformed(batch)
    return Transformed(batch.filter(stay), {name: batch.num_rows - left})
