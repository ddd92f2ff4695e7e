"""`identify_language`: the language of a text by py3langid, whose model lies inside its package.

Nothing is fetched. The scores of py3langid are sums of 32-bit floats. A record whose best two languages are
equal to the last bits may be named otherwise on another kind of processor; `und` below the confidence asked
for keeps such records out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.transform_step import Transformed
from skyhaul.transforms.declaration import Target, TransformDeclaration
from skyhaul.transforms.normalisation import unicode_fingerprint
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.transforms import IdentifyLanguage

PACKAGE = "py3langid"
CONFIDENCE = 0.5
"""Probability, as py3langid has it, below which a language is `und`. Chosen, not measured: the likeliest one
is more likely than all others together."""
CHARACTERS = 1000
"""Characters of each text that are looked at. More hardly changes an answer, and the walk over them is
Python's: about 1 MB a second of CPU, which a longer text does not pay for."""


@dataclass(frozen=True, slots=True)
class LanguageIdentified:
    """Fills in `language` of the rows that state none.

    Attributes:
        column: The text that it is told from.
    """

    column: str

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        index = batch.schema.get_field_index("language")
        stated = batch.column(index)
        rows = np.flatnonzero(stated.is_null().to_numpy(zero_copy_only=False))
        if not len(rows):
            return Transformed(batch)
        # Cut by Arrow, so that a long text never becomes a str.
        heads = pc.utf8_slice_codeunits(batch.column(self.column).take(pa.array(rows)), 0, CHARACTERS)
        classify = _identifier().classify
        found = [None if text is None else classify(text)[0] for text in heads.to_pylist()]
        # Answers are taken back to their rows by place; rows that state a language have none, and get a null.
        places = np.full(batch.num_rows, -1, dtype=np.int64)
        places[rows] = np.arange(len(rows))
        made = pa.array(found, pa.string()).take(pa.array(places, mask=places < 0))
        return Transformed(batch.set_column(index, batch.schema.field(index), pc.coalesce(stated, made)))


def languages_fingerprint() -> dict[str, str]:
    """What an answer depends on. Raises UsageError where the library is not installed."""
    try:
        return {PACKAGE: version(PACKAGE), "numpy": np.__version__, **unicode_fingerprint()}
    except PackageNotFoundError:
        raise UsageError(
            f"`identify_language` needs {PACKAGE}, which is not installed: pip install 'skyhaul[language]'"
        ) from None


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True, min_confidence=CONFIDENCE)


def _build(rule: IdentifyLanguage, target: Target) -> LanguageIdentified:
    column = target.column(rule.column)
    if target.schema.get_field_index("language") < 0:
        raise UsageError("transform `identify_language`: the schema has no column language")
    # Raises where the library is missing: here, and not with the first row.
    languages_fingerprint()
    return LanguageIdentified(column)


IDENTIFY_LANGUAGE = TransformDeclaration(
    "identify_language",
    "the language of a text, where the source states none",
    IdentifyLanguage,
    _build,
    languages_fingerprint,
)
