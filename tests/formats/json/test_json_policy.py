"""The policy of JSON lines, line by line: what is taken, what is refused, and with what reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from formats.decoding import decode
from skyhaul_connectors.formats.records import json_exact, json_quick
from skyhaul_schemas.errors import DecodeError, DriftError

READERS = [json_exact.loads, json_quick.loads]


@pytest.mark.parametrize("loads", READERS)
def test_the_test_suite_for_json_is_met_at_the_parsers_level(loads, shared_data: Path) -> None:
    folder = shared_data / "malformed" / "JSONTestSuite" / "test_parsing"
    seen = {"y": 0, "n": 0, "i": 0}
    for path in sorted(folder.glob("*.json")):
        kind = path.name[0]
        seen[kind] += 1
        reason = _refusal(loads, path.read_bytes())
        assert reason.isprintable(), path.name
        if kind == "y":
            assert not reason, path.name
        if kind == "n":
            assert reason, path.name
    assert seen["y"] >= 40, seen
    assert seen["n"] >= 80, seen


def _refusal(loads, raw: bytes) -> str:
    try:
        loads(raw)
    except json_exact.BadJson as bad:
        return str(bad)
    return ""


BAD_LINES = [
    (b'{"text": "a"', "malformed JSON"),
    (b"{'text': 'a'}", "malformed JSON"),
    (b'{"text": "a",}', "malformed JSON"),
    (b'{"text": "a"} // said', "malformed JSON"),
    (b'{"text": "\xff"}', "invalid UTF-8 at byte 10"),
    (b'{"text": "\xed\xa0\x80"}', "invalid UTF-8"),
    (b'{"text": "a\x00"}', "a NUL byte"),
    (b'{"text": "a"}\x00', "a NUL byte"),
    (b'{"text": "a\x01"}', "malformed JSON"),
    (b'{"text": "a", "x": NaN}', "NaN is not JSON"),
    (b'{"text": "a", "x": Infinity}', "Infinity is not JSON"),
    (b'{"text": "a", "x": -Infinity}', "-Infinity is not JSON"),
    (b'{"text": "a", "x": 1e999}', "beyond the range of a double"),
    (b'{"text": "a", "text": "b"}', "key 'text' is there twice"),
    (b'{"text": "a", "x": {"y": [{"z": 1, "z": 1}]}}', "key 'z' is there twice"),
    (b'{"text": "a", "\\u0074ext": "b"}', "key 'text' is there twice"),
    (b'{"text": "a", "x": 1, "x": 2}', "key 'x' is there twice"),
    (b'{"text": "\\ud800"}', "surrogate"),
    (b'{"text": "\\udc00\\ud800"}', "surrogate"),
    (b'{"text": "a", "\\ud800": 1}', "surrogate"),
    (b'{"text": "a"}{"text": "b"}', "malformed JSON"),
    (b'{"text": "a"} {"text": "b"}', "malformed JSON"),
    (b'["text"]', "not a JSON object"),
    (b'"text"', "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"text": "a", "x": ' + b"[" * 200 + b"]" * 200 + b"}", "nested deeper than 128"),
    (b'{"text": "a", "x": ' + b"9" * 5000 + b"}", "a number of 5000 characters"),
    (b"\xef\xbb\xbf", "malformed JSON"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=lambda v: repr(v)[:40])
def test_a_bad_line_is_one_reject_with_offset_reason_and_bytes_and_costs_no_other(line, reason) -> None:
    good = b'{"text": "before"}\n'
    found = decode(good + line + b"\n" + b'{"text": "after"}\n', "x.jsonl")
    assert found.texts == ["before", "after"]
    (reject,) = found.rejects
    assert reason in reject.reason
    assert (reject.offset, reject.length) == (len(good), len(line))
    assert reject.raw == line[:4096]
    assert reject.reason.isprintable()
    assert not found.damaged


DRIFTED = [
    (b'{"body": "a"}', "text: column 'text' is missing"),
    (b'{"text": null}', "text: column 'text' is null"),
    (b'{"text": 7}', "text: column 'text' holds an integer, not a string"),
    (b'{"text": ["a"]}', "text: column 'text' holds an array, not a string"),
    (b'{"text": "a", "url": 1}', "url: column 'url' holds an integer, not a string"),
    (b'{"text": "a", "id": 1.5}', "source_id: column 'id' holds a number, not a string or an integer"),
    (b'{"text": "a", "id": true}', "source_id: column 'id' holds a boolean, not a string or an integer"),
    (
        b'{"text": "a", "created": "yesterday"}',
        "created: column 'created' holds 'yesterday', which is no ISO",
    ),
    (b'{"text": "a", "created": 1600000000}', "created: column 'created' holds an integer, not a time"),
]


@pytest.mark.parametrize(("line", "reason"), DRIFTED, ids=lambda v: repr(v)[:40])
def test_drift_is_rejected_or_fails_the_shard_as_the_job_says(line, reason) -> None:
    found = decode(line, "x.jsonl")
    assert found.counts == (0, 1, False)
    assert reason in found.reasons[0]
    with pytest.raises(DriftError, match=r"src/x\.jsonl at byte 0"):
        decode(line, "x.jsonl", on_drift="fail")
    assert decode(line, "x.jsonl", on_damage="fail").counts == (0, 1, False)


def test_a_bad_line_fails_the_shard_where_the_job_says_so() -> None:
    with pytest.raises(DecodeError, match=r"src/x.jsonl at byte 14: malformed JSON"):
        decode(b'{"text": "a"}\n{"text": bad}\n', "x.jsonl", on_damage="fail")


def test_what_is_not_mapped_goes_to_metadata_as_canonical_json() -> None:
    line = (
        b'{ "z" : 12345678901234567890123, "text":"a", "n":null, "b":{"y":1.0,"x":[true,"\\u00e9\\/\\n"]},'
        b' "big":1e20, "minus":-0 }'
    )
    (row,) = decode(line, "x.jsonl").rows
    assert row["metadata"] == (
        '{"b":{"x":[true,"é/\\n"],"y":1.0},"big":1e+20,"minus":0,"n":null,"z":12345678901234567890123}'
    )
    assert json.loads(row["metadata"])["z"] == 12345678901234567890123


def test_fields_are_mapped_by_column_or_by_pointer() -> None:
    line = b'{"body":"a","id":7,"meta":{"url":"http://x/","lang":"de"},"at":"2024-02-29T12:00:00+02:00"}'
    fields = {"text": "body", "url": "/meta/url", "language": "/meta/lang", "created": "at"}
    (row,) = decode(line, "x.jsonl", fields=fields).rows
    assert (row["text"], row["source_id"], row["url"], row["language"]) == ("a", "7", "http://x/", "de")
    assert row["created"].isoformat() == "2024-02-29T10:00:00+00:00"
    assert row["metadata"] == '{"meta":{"lang":"de","url":"http://x/"}}'


def test_line_ends_blank_lines_byte_order_marks_and_a_missing_last_newline() -> None:
    raw = b'\xef\xbb\xbf{"text":"a"}\r\n\r\n  \t\n{"text":"b"}'
    found = decode(raw, "x.jsonl")
    assert found.texts == ["a", "b"]
    assert [(row["offset"], row["length"]) for row in found.rows] == [(0, 16), (23, 12)]
    assert found.rejects == []


def test_an_empty_object_gives_no_rows() -> None:
    assert decode(b"", "x.jsonl").counts == (0, 0, False)
    assert decode(b"\n\n", "x.jsonl").counts == (0, 0, False)


@pytest.mark.parametrize("length", [1001, 70_000, 3_000_000])
def test_a_giant_line_is_rejected_unread_whatever_its_length(length: int) -> None:
    giant = b'{"text":"' + b"x" * (length - 11) + b'"}'
    raw = b'{"text":"a"}\n' + giant + b'\n{"text":"b"}\n'
    found = decode(raw, "x.jsonl", max_line=1000)
    assert found.texts == ["a", "b"]
    (reject,) = found.rejects
    assert (reject.offset, reject.length) == (13, length)
    assert reject.reason == f"a line of {length} bytes, more than max_line of 1000"
    assert reject.raw == giant[:4096]
