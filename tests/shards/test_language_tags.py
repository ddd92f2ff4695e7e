"""`language` of documents is one tag for one language, and what was stated otherwise is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.hauled import plan_small
from skyhaul.planning.fingerprint import encoder_fingerprint
from skyhaul.shards.language_tags import primary, with_primary_tags
from skyhaul_schemas.own_schema import OwnSchema

JOB = """\
version: 1
name: tags
dataset: {dataset}
spool: {spool}
sources:
  lines: {{url: "{region}/lines/*", fields: {{language: lang}}}}
"""


@pytest.mark.parametrize(
    ("stated", "tag"),
    [
        ("en", "en"), ("en-US", "en"), ("EN", "en"), ("en_GB", "en"), ("en_US.UTF-8", "en"),
        ("de_AT@euro", "de"),
        ("zh-Hant-TW", "zh"), ("eng", "en"), ("ger", "de"), ("eng,deu", "en"), (" fr ", "fr"),
        ("en, de", "en"),
        ("gsw", "gsw"), ("und", "und"), ("xx", "xx"), ("English", None), ("", None), ("C", None),
        ("i-klingon", None), ("12", None), ("en US", None),
    ],
)  # fmt: skip
def test_a_stated_language_gives_its_primary_subtag(stated: str, tag: str | None) -> None:
    assert primary(stated) == tag


def test_what_was_stated_otherwise_stays_in_metadata() -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "text": list("abcdefg"),
            "language": ["en", "en-US", "EN", "English", None, "", "de-AT"],
            "metadata": ['{"a":1}', None, '{"a":1}', None, '{"b":2}', None, '{"language":"own"}'],
        }
    )
    made = with_primary_tags(batch)
    assert made["language"].to_pylist() == ["en", "en", "en", None, None, None, "de"]
    assert made["metadata"].to_pylist() == [
        '{"a":1}', '{"language":"en-US"}', '{"a":1,"language":"EN"}', '{"language":"English"}', '{"b":2}',
        '{"language":""}', '{"language":"own"}',
    ]  # fmt: skip
    plain = batch.slice(0, 1)
    assert with_primary_tags(plain) is plain


def test_rows_of_a_haul_have_it_whichever_reader_took_them(tmp_path: Path) -> None:
    lines = tmp_path / "region" / "lines"
    lines.mkdir(parents=True)
    records = [{"text": f"text {n}", "lang": ["en", "en-US", "pt_BR"][n % 3], "n": n} for n in range(90)]
    (lines / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    (lines / "b.csv").write_text("text,lang\nsome,en-GB\n")
    hauled = plan_small(tmp_path, tmp_path / "region", job=JOB)
    hauled.haul()
    rows = [
        row for path in (hauled.root / "data").rglob("*.parquet") for row in pq.read_table(path).to_pylist()
    ]
    by_text = {row["text"]: (row["language"], row["metadata"]) for row in rows}
    assert by_text["text 0"] == ("en", '{"n":0}')
    assert by_text["text 1"] == ("en", '{"language":"en-US","n":1}')
    assert by_text["text 2"] == ("pt", '{"language":"pt_BR","n":2}')
    assert by_text["some"] == ("en", '{"language":"en-GB"}')
    assert {language for language, _ in by_text.values()} == {"en", "pt"}


def test_only_plans_of_documents_state_it() -> None:
    assert "skyhaul.language_tags" in encoder_fingerprint([])
    others = ("reading", "image", "audio", "blob", OwnSchema.of("own", {"language": "string"}))
    assert all("skyhaul.language_tags" not in encoder_fingerprint([], schema=other) for other in others)
