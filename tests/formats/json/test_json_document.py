"""JSON arrays, single values, and JSON lines that do not say so."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.json import elements as json_elements
from skyhaul_connectors.formats.records.json_exact import BadJson, loads

RECORDS = [{"text": f'a "{n}" [,]{{}} \\ é', "n": [n, {"m": None}]} for n in range(50)]


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_elements_of_an_array_are_records_with_their_bytes(indent: int | None, mark: bytes) -> None:
    raw = mark + json.dumps(RECORDS, indent=indent).encode() + b"\n"
    found = decode(raw, "x.json")
    assert found.texts == [record["text"] for record in RECORDS]
    assert [json.loads(raw[row["offset"] :][: row["length"]]) for row in found.rows] == RECORDS
    assert not found.rejects


@pytest.mark.parametrize("piece", [1, 3, 50])
def test_elements_do_not_depend_on_the_pieces_they_come_in(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = json.dumps(RECORDS).encode()
    whole = decode(raw, "x.json")
    monkeypatch.setattr(json_elements, "PIECE", piece)
    assert decode(raw, "x.json").rows == whole.rows


def test_one_object_is_one_record() -> None:
    for text in (
        '{"text": "a"}',
        '{\n  "text": "a",\n  "n": {\n}}\n',
        '\n{"text":\n"a"}',
        '{\n"text":\n{}\n, "text2": 1}',
    ):
        found = decode(text.encode(), "x.json")
        assert len(found.rows) + len(found.rejects) == 1
        assert not found.damaged
    for raw in (
        b'{"text":"x","inner":\n{"text":"y"}\n}',
        b'{"text":"x","inner":\n\n {"text":"y"}\n , "n": 1}\n',
        b'{"text":"x","inner":[\n{"text":"y"}\n,\n{"text":"z"}\n]}',
        b'{"text":"x","inner":\n{"text":"' + b"y" * 2_000_000 + b'"}\n}',
    ):
        found = decode(raw, "x.json")
        assert (found.texts, found.rejects) == (["x"], [])
    assert decode(b"", "x.json").counts == (0, 0, False)
    assert decode(b"  \n", "x.json").counts == (0, 0, False)


def test_lines_are_told_by_their_first_line(shared_data: Path) -> None:
    lines = b"".join(json.dumps(record).encode() + b"\n" for record in RECORDS)
    for raw in (lines, b"\n" + lines, b"\xef\xbb\xbf" + lines, b'{"bad": \n' + lines):
        assert decode(raw, "x.json").texts == [record["text"] for record in RECORDS]
        assert len(decode(gzip.compress(raw), "x.json.gz").rows) == 50
    path = shared_data / "text" / "dolma" / "formats" / "test.jsonl.gz"
    assert decode(path.read_bytes(), "test.json.gz", fields={"text": "x"}).counts[1] == 1


def test_a_member_that_holds_the_records_is_named_by_an_option() -> None:
    inner = json.dumps(RECORDS, indent=1)
    raw = (
        f'{{"type": "X", "deep": {{"features": [1]}}, "s": "}}]", "features": {inner}, "after": 1}}'.encode()
    )
    found = decode(raw, "x.geojson", records="features")
    assert found.texts == [record["text"] for record in RECORDS]
    assert json.loads(raw[found.rows[3]["offset"] :][: found.rows[3]["length"]]) == RECORDS[3]
    for whole in (raw, raw * 20, b"[1]", b'"features"'):
        missing = decode(whole, "x.geojson", records="nothing")
        assert missing.counts == (0, 1, True)
        assert missing.reasons == ["no JSON object with a member 'nothing'"]
        (reject,) = missing.rejects
        assert (reject.offset, reject.length, reject.raw) == (0, len(whole), whole[:4096])


@pytest.mark.parametrize("piece", [1, 7, 1024 * 1024])
@pytest.mark.parametrize(
    ("behind", "rest", "reason"),
    [
        (b', "x": [1,2', b"1,2", "truncated: the object does not end"),
        (b', "x": [1,2]', b"", "truncated: the object does not end"),
        (b', "x"', b'"x"', "truncated: the object does not end"),
        (b"", b"", "truncated: the object does not end"),
        (b"}garbage\n{}", b"garbage\n{}", "something follows the object"),
        (b', "features": [{"text":"b"}]}', b'[{"text":"b"}]}', "member 'features' is there twice"),
        (b', "f\\u0065atures": 1}', b"1}", "member 'features' is there twice"),
        (b" 1}", b"1}", "malformed JSON: no comma behind a member"),
        (b",}", b"}", "malformed JSON: no member where one should be"),
        (b', "x": 1]}', b"}", "brackets that do not match"),
        (b', "\xff": 1}', b"1}", "invalid UTF-8 at byte 1"),
    ],
)
def test_what_follows_the_array_of_a_member_is_not_hidden(
    behind: bytes, rest: bytes, reason: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_elements, "PIECE", piece)
    raw = b'{"features": [{"text":"a"}]' + behind
    found = decode(raw, "x.json", records="features")
    assert (found.texts, found.damaged, found.reasons) == (["a"], True, [reason])
    (reject,) = found.rejects
    assert (reject.offset, reject.length, reject.raw) == (len(raw) - len(rest), len(rest), rest)
    sound = decode(raw[: len(raw) - len(behind)] + b', "x": {"features": [1]}, "y": "]"} \n', "x.json",
                   records="features")  # fmt: skip
    assert (sound.texts, sound.rejects) == (["a"], [])


def test_the_unreadable_rest_reaches_to_the_objects_end() -> None:
    raw = b'[{"text":"a"},}' + b" " * 3_000_000
    (reject,) = decode(raw, "x.json").rejects
    assert (reject.offset, reject.length, len(reject.raw)) == (14, len(raw) - 14, 4096)


@pytest.mark.parametrize(
    ("raw", "rows", "reasons"),
    [
        (b'[{"text":"a"},{"text":bad},{"text":"b"}]', 2, ["malformed JSON"]),
        (b'[{"text":"a"},7,"s",null,[{}]]', 1, ["not a JSON object"] * 4),
        (b'[{"text":"a"},]', 1, ["malformed JSON"]),
        (b'[,{"text":"a"}]', 1, ["malformed JSON"]),
        (b"[]", 0, []),
        (b"[ \n ]", 0, []),
        (b'[{"text":"a"}', 0, ["truncated: the array does not end"]),
        (b'[{"text":"a"},{"te', 1, ["truncated: the array does not end"]),
        (b'[{"text":"a"},"op', 1, ["truncated: the array does not end"]),
        (b'[{"text":"a"}] x', 1, ["something follows the array"]),
        (b'[{"text":"a"},}]', 1, ["brackets that do not match"]),
        (b'[{"text":"a"},{"text":"b"]}]', 1, ["brackets that do not match"]),
        (b'[{"text":"\xff"},{"text":"b"}]', 1, ["invalid UTF-8"]),
    ],
)
def test_malformed_arrays(raw: bytes, rows: int, reasons: list[str]) -> None:
    found = decode(raw, "x.json")
    assert len(found.rows) == rows
    assert len(found.reasons) == len(reasons)
    for said, reason in zip(found.reasons, reasons, strict=True):
        assert said.startswith(reason)


def test_an_element_over_the_cap_is_the_unreadable_rest() -> None:
    raw = b'[{"text":"a"},{"text":"' + b"x" * 3_000_000 + b'"},{"text":"b"}]'
    found = decode(raw, "x.json", max_line=1_000_000)
    assert found.counts == (1, 1, True)
    assert found.reasons[0].startswith("an element of more than max_line")


def test_the_collected_json_files_have_the_records_they_are_said_to_have(shared_data: Path) -> None:
    chapters = sorted((shared_data / "text" / "moby-dick").glob("*.json"))
    assert len(chapters) == 70
    assert sum(len(decode(path.read_bytes(), path.name).rows) for path in chapters) == 70
    folder = shared_data / "sensor" / "vega-datasets"
    counts = {"budgets": 230, "gapminder": 682, "obesity": 50, "penguins": 344, "monarchs": 12, "wheat": 52}
    for name, count in counts.items():
        found = decode((folder / f"{name}.json").read_bytes(), f"{name}.json", fields={"text": "@name"})
        assert (len(found.rows), found.damaged) == (count, False), name
    quakes = (folder / "earthquakes.json").read_bytes()
    found = decode(quakes, "e.json", records="features", fields={"text": "/properties/place"})
    assert len(found.rows) + len(found.rejects) == len(json.loads(quakes)["features"])


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"[", b"]", b"{", b"}", b",", b'"', b"\\", b":", b'{"text":"a"}', b" ", b"1", b"\xff", b"\n"]
        ),
        max_size=25,
    )
)
def test_any_bytes_are_rows_or_rejects_and_sound_arrays_are_read_in_full(parts: list[bytes]) -> None:
    raw = b"".join(parts)
    found = decode(raw, "x.json")
    try:
        value = loads(raw)
    except BadJson:
        return
    if isinstance(value, list):
        assert len(found.rows) + len(found.rejects) == len(value)
        assert not found.damaged


PASSED_OVER = {
    "numbers": b"[" + b"1," * 3_000_000 + b"1]",
    "a string": b'"' + b"x" * 6_000_000 + b'"',
    "escapes": b'"' + b'\\"\\\\' * 1_500_000 + b'"',
    "a number": b"1" * 6_000_000,
    "nested": b'{"a":' * 500 + b"[" + b'"[]{},",' * 700_000 + b"1]" + b"}" * 500,
    "space": b" " * 6_000_000 + b"1",
}


@pytest.mark.parametrize("name", PASSED_OVER)
@pytest.mark.parametrize("behind", [False, True])
def test_a_member_that_is_passed_over_needs_no_memory_and_has_no_bound(name: str, behind: bool) -> None:
    features = b'"features":[{"text":"a"},{"text":"b"}]'
    members = [b'"meta":' + PASSED_OVER[name], features]
    raw = b"{" + b",".join(reversed(members) if behind else members) + b"}"
    tracemalloc.start()
    found = decode(raw, "x.json", format="json", records="features", max_line=1024**2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.texts == ["a", "b"]
    assert not found.rejects
    assert peak < 24_000_000


@pytest.mark.parametrize("rest", [b'"unended', b"[1,2", b'"a\\', b"12"])
def test_an_object_that_ends_in_what_is_passed_over_says_where(rest: bytes) -> None:
    raw = b'{"features":[{"text":"a"}],"meta":' + rest
    found = decode(raw, "x.json", format="json", records="features")
    assert found.texts == ["a"]
    assert found.damaged
    (reject,) = found.rejects
    assert reject.offset >= raw.index(rest)
    assert reject.offset + reject.length == len(raw)
    assert raw[reject.offset :] == reject.raw


def test_a_value_whose_second_line_is_too_long_and_broken_off_is_rejected_with_all_its_length() -> None:
    packed = gzip.compress(b'{"a":\n"' + b"x" * 4_000_000)[:-10]
    found = decode(packed, "x.json.gz", format="json", max_line=1024**2)
    (reject,) = found.rejects
    assert found.damaged
    assert reject.length > 3_900_000
    assert len(reject.raw) <= 4096


def test_a_value_with_a_line_that_is_too_long_is_rejected_with_all_its_length() -> None:
    raw = b'{"a":\n"' + b"x" * 2_000_000 + b'",\n"b":\n1}\n'
    found = decode(raw, "x.json", format="json", max_line=1024**2)
    (reject,) = found.rejects
    assert (reject.offset, reject.length) in ((0, len(raw)), (0, len(raw) - 1))
