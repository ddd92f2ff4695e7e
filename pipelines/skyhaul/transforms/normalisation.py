"""`normalise`: a column of text in a Unicode normal form."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.transform_step import Transformed
from skyhaul.transforms.declaration import Target, TransformDeclaration
from skyhaul_schemas.job.transforms import Normalise


@dataclass(frozen=True, slots=True)
class Normalised:
    """The column in a Unicode normal form, as Python's `unicodedata` knows Unicode.

    Not by Arrow's utf8_normalize: up to pyarrow 25 it leaves NFC and NFKC decomposed
    (https://github.com/apache/arrow/issues/51225). Only rows beyond ASCII are walked over.
    """

    column: str
    form: Literal["NFC", "NFD", "NFKC", "NFKD"]

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        index = batch.schema.get_field_index(self.column)
        values = batch.column(index)
        beyond = pc.fill_null(pc.invert(pc.string_is_ascii(values)), False)
        # ASCII is the same in every normal form.
        if not pc.any(beyond).as_py():
            return Transformed(batch)
        form = self.form
        made = [unicodedata.normalize(form, text) for text in values.filter(beyond).to_pylist()]
        fresh = pc.replace_with_mask(values, beyond, pa.array(made, values.type))
        return Transformed(batch.set_column(index, batch.schema.field(index), fresh))


def unicode_fingerprint() -> dict[str, str]:
    """The version of Unicode that this Python knows: another one may compose otherwise."""
    return {"unicode": unicodedata.unidata_version}


def _build(rule: Normalise, target: Target) -> Normalised:
    return Normalised(target.column(rule.column), rule.normalise)


NORMALISE = TransformDeclaration(
    "normalise", "a column in a Unicode normal form", Normalise, _build, unicode_fingerprint
)
