"""Every format that names columns fills a schema of the job's own, by one set of rules."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from formats.decoding import Result, decode
from formats.records.own_schemas import CHAT
from formats.test_conformance import _tar
from formats.web.archives import by_record, response
from skyhaul_schemas.errors import DriftError, UsageError
from skyhaul_schemas.own_schema import OwnSchema

RECORD: dict[str, Any] = {
    "prompt": "hello",
    "score": 0.5,
    "weight": 3.0,
    "count": -7,
    "big": 2**64 - 1,
    "good": True,
    "day": "2020-01-02",
    "taken": "2020-01-02T03:04:05.678999Z",
    "tags": ["a", None],
    "turns": [{"role": "user", "tokens": 3, "at": "2020-01-01T00:00:00Z"}, None],
    "grid": [[0.5, None], []],
    "where": {"lat": 1.5, "lon": None},
    "offset": 5,
    "length": "long",
    "more": "kept",
}
TAKEN = datetime(2020, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


def lines(*records: object) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def cells(*records: dict[str, Any]) -> bytes:
    import csv

    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(records[0])
    for record in records:
        values = record.values()
        writer.writerow([json.dumps(v) if isinstance(v, list | dict | bool) else v for v in values])
    return out.getvalue().encode()


def table(*records: dict[str, Any]) -> bytes:
    columns = {name: [record[name] for record in records] for name in records[0]}
    # Arrow tells no unsigned numbers from Python's.
    kinds = {"big": pa.uint64()}
    out = io.BytesIO()
    pq.write_table(pa.table({name: pa.array(of, kinds.get(name)) for name, of in columns.items()}), out)
    return out.getvalue()


FORMS = {
    "x.jsonl": lines,
    "x.json": lambda *records: json.dumps(records).encode(),
    "x.csv": cells,
    "x.parquet": table,
    "x.tar": lambda *records: _tar({"a/x.jsonl": lines(*records)}),
}


def own(rest: str = "metadata", *required: str, **columns: str) -> OwnSchema:
    return OwnSchema.of("own", columns, required, rest)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", FORMS)
def test_a_record_is_the_same_whatever_format_it_came_in(path: str) -> None:
    (row,) = decode(FORMS[path](RECORD), path, schema=CHAT).rows
    place = {name: row.pop(name) for name in ("@offset", "@length")}
    assert all(isinstance(value, int) for value in place.values())
    wanted = {
        **RECORD,
        "day": date(2020, 1, 2),
        "taken": TAKEN,
        "turns": [{"role": "user", "tokens": 3, "at": datetime(2020, 1, 1)}, None],
        "metadata": '{"more":"kept"}',
    }
    del wanted["more"]
    assert row == wanted


def test_texts_pages_and_archives_of_the_web_fill_the_columns_that_fields_name() -> None:
    schema = own(body="string", title="string", status="int16")
    assert decode(b"some text", "a.txt", schema=schema).rows[0]["body"] == "some text"
    page = b"<html><head><title>T</title></head><body><p>" + b"Hello world. " * 30 + b"</p></body></html>"
    (row,) = decode(page, "a.html", schema=schema).rows
    assert (row["title"], row["body"][:5], row["status"]) == ("T", "Hello", None)
    archive = by_record([response("Hello world. " * 30)])
    (row,) = decode(archive, "a.warc.gz", schema=schema, fields={"body": "text"}).rows
    assert (row["title"], row["body"][:5], row["status"]) == ("T", "Hello", 200)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("string", 1, "an integer, not a string"),
        ("float32", "1", "a string, not a number"),
        ("float32", True, "a boolean, not a number"),
        ("float32", 2**24 + 1, "an integer that a float of 32 bits cannot hold"),
        ("float64", 2**53 + 1, "an integer that a float of 64 bits cannot hold"),
        ("float32", 3.5e38, "a number, which is beyond a float of 32 bits"),
        ("int8", 1.0, "a number, not an integer"),
        ("int8", 128, "an integer, which is beyond int8"),
        ("uint64", -1, "an integer, which is beyond uint64"),
        ("int8", True, "a boolean, not an integer"),
        ("bool", 0, "an integer, not a boolean"),
        ("binary", "x", "a string, not bytes"),
        ("date32", "2020-01-01T01:00:00Z", "a time, not a date"),
        ("date32", "2020-02-30", "'2020-02-30', which is no ISO 8601 time"),
        (
            "timestamp[us, UTC]",
            5,
            "an integer, not a time; say how it counts by time_format (epoch_s, epoch_ms",
        ),
        ("list<int8>", "x", "a string, not an array"),
        ("list<int8>", [1, None, "x"], "a string, not an integer; at /2"),
        (
            "struct<a: list<struct<b: bool>>>",
            {"a": [{"b": True}, {"b": 1}]},
            "an integer, not a boolean; at /a/1/b",
        ),
        ("struct<a/b: int8>", {"a/b": []}, "an array, not an integer; at /a~1b"),
    ],
)
def test_what_does_not_fit_is_drift_with_its_path(kind: str, value: object, problem: str) -> None:
    found = decode(lines({"x": value}, {"x": None}), "x.jsonl", schema=own(x=kind))
    (reason,) = found.reasons
    assert reason.startswith(f"x: column 'x' holds {problem}")
    assert [row["x"] for row in found.rows] == [None]
    with pytest.raises(DriftError, match="at byte 0: x: column 'x' holds"):
        decode(lines({"x": value}), "x.jsonl", schema=own(x=kind), on_drift="fail")


@pytest.mark.parametrize(
    ("kind", "values", "problem"),
    [
        ("int8", pa.array([128, None]), "an integer, which is beyond int8"),
        ("int64", pa.array([2**63, None], pa.uint64()), "an integer, which is beyond int64"),
        ("int8", pa.array([1.0, None]), "values of another type; double"),
        ("float32", pa.array([2**24 + 1, None]), "an integer that a float of 32 bits cannot hold"),
        ("float32", pa.array([-1e39, None]), "a number, which is beyond a float of 32 bits"),
        ("string", pa.array([1, None]), "values of another type; int64"),
        ("string", pa.array([b"\xff", None]), "bytes that are not UTF-8"),
        ("bool", pa.array([1, None]), "values of another type; int64"),
        ("date32", pa.array([1, None], pa.timestamp("us")), "a time, not a date"),
        ("list<int8>", pa.array([[1, None, 128], None]), "an integer, which is beyond int8; at /2"),
        ("list<string>", pa.array([[1], None]), "values of another type; int64 at /0"),
        (
            "struct<a: list<struct<b: bool>>>",
            pa.array([{"a": [None, {"b": "x"}]}, None]),
            "values of another type; string at /a/1/b",
        ),
    ],
)
def test_values_of_tables_fit_by_the_same_rules(kind: str, values: pa.Array, problem: str) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"x": values}), out)
    found = decode(out.getvalue(), "x.parquet", schema=own(x=kind))
    assert found.reasons == [f"x: column 'x' holds {problem}"]
    assert [row["x"] for row in found.rows] == [None]


def test_tables_give_bytes_infinities_and_times_cut_off_to_their_unit() -> None:
    out = io.BytesIO()
    moment = pa.array([1_999_999, -1], pa.timestamp("ns"))
    pq.write_table(pa.table({"b": [b"\xff", None], "f": [float("inf"), 0.1], "t": moment}), out)
    schema = own(b="binary", f="float32", t="timestamp[ms, UTC]")
    rows = decode(out.getvalue(), "x.parquet", schema=schema).rows
    assert [row["b"] for row in rows] == [b"\xff", None]
    assert [row["f"] for row in rows] == [float("inf"), 0.10000000149011612]
    assert [row["t"] for row in rows] == [
        datetime(1970, 1, 1, 0, 0, 0, 1000, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    ]


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("int8", " 7 ", 7), ("int8", "+7", 7), ("int8", "", None), ("int8", "-99", None),
        ("int8", "-99.0", None),
        ("float32", "1e-1", 0.10000000149011612), ("bool", "TRUE", True), ("bool", "false", False),
        ("list<int8>", "[1, null]", [1, None]), ("list<int8>", "", None), ("list<int8>", "null", None),
        ("struct<a: bool>", '{""a"": true}', {"a": True}), ("date32", "2020-01-02", date(2020, 1, 2)),
        ("string", "7", "7"),
    ],
)  # fmt: skip
def test_a_cell_of_text_is_read_as_its_column_says(kind: str, cell: str, value: object) -> None:
    raw = f'x,y\n"{cell}",z\n'.encode()
    (row,) = decode(raw, "x.csv", schema=own(x=kind), missing=["", -99]).rows
    assert row["x"] == value


@pytest.mark.parametrize(
    ("kind", "cell", "problem"),
    [
        ("int8", "1.0", "'1.0', which is no whole number"),
        ("int8", "128", "an integer, which is beyond int8"),
        ("float32", "1e39", "a number, which is beyond a float of 32 bits"),
        ("bool", "1", "'1', which is neither true nor false"),
        ("list<int8>", "1;2", "'1;2', which is no JSON; malformed JSON"),
        ("list<int8>", "[1.5]", "a number, not an integer; at /0"),
    ],
)
def test_a_cell_that_does_not_fit_is_drift(kind: str, cell: str, problem: str) -> None:
    (reason,) = decode(f'x\n"{cell}"\n'.encode(), "x.csv", schema=own(x=kind)).reasons
    assert reason.startswith(f"x: column 'x' holds {problem}")


def test_under_on_drift_null_kinds_are_counted_without_places_or_texts() -> None:
    records = lines({"x": [1, "a"]}, {"x": ["b"]}, {"x": [300]}, {"x": "c"})
    found = decode(records, "x.jsonl", schema=own(x="list<int8>"), on_drift="null")
    assert [row["x"] for row in found.rows] == [None] * 4
    assert found.nulled == {
        "x: a string, not an integer": 2,
        "x: beyond int8": 1,
        "x: a string, not an array": 1,
    }


class TestRest:
    """What no column takes."""

    @staticmethod
    def of(rest: str, path: str, **record: object) -> Result:
        return decode(FORMS[path](record), path, schema=own(rest, x="struct<a: int64>", y="int64"))

    @pytest.mark.parametrize("path", FORMS)
    def test_it_is_kept_dropped_or_a_reject(self, path: str) -> None:
        given = {"x": {"a": 1}, "y": 2, "z": "more"}
        assert self.of("metadata", path, **given).rows[0]["metadata"] == '{"z":"more"}'
        assert "metadata" not in self.of("drop", path, **given).rows[0]
        (reason,) = self.of("reject", path, **given).reasons
        assert reason.endswith("column 'z' is, or holds, more than the schema takes (rest: reject)")
        assert self.of("reject", path, x={"a": 1}, y=2).counts == (1, 0, False)

    @pytest.mark.parametrize("path", [path for path in FORMS if path != "x.csv"])
    def test_a_nested_value_that_is_taken_in_part_stays_as_a_whole(self, path: str) -> None:
        given = {"x": {"a": 1, "b": 2}, "y": 2}
        (row,) = self.of("metadata", path, **given).rows
        assert row["x"] == {"a": 1}
        assert row["metadata"] == '{"x":{"a":1,"b":2}}'
        assert self.of("drop", path, **given).rows[0]["x"] == {"a": 1}
        assert "column 'x'" in self.of("reject", path, **given).reasons[0]

    def test_of_a_cell_it_stays_as_it_is_written(self) -> None:
        (row,) = self.of("metadata", "x.csv", x={"a": 1, "b": 2}, y=2).rows
        assert row["metadata"] == '{"x":"{\\"a\\": 1, \\"b\\": 2}"}'


def test_fields_rename_and_reach_inside_and_take_the_objects_name() -> None:
    schema = own("drop", "said", said="string", rating="float64", file="string", when="timestamp[us, UTC]")
    found = decode(
        lines({"q": "hi", "meta": {"r": 1}, "t": 1700000000}, {"q": None}),
        "a/b.jsonl",
        schema=schema,
        fields={"said": "q", "rating": "/meta/r", "file": "@name", "when": "t"},
        time_format="epoch_s",
    )
    (row,) = found.rows
    assert (row["said"], row["rating"], row["file"]) == ("hi", 1.0, "b.jsonl")
    assert row["when"] == datetime.fromtimestamp(1700000000, UTC)
    assert found.reasons == ["said: column 'q' is null"]


def test_the_one_time_is_made_of_time_columns() -> None:
    raw = b"y,m,v\n2020,2,1\n"
    given = {"time_format": "%Y %m", "time_columns": ["y", "m"]}
    (row,) = decode(raw, "x.csv", schema=own(at="timestamp[ms]", v="int8"), **given).rows
    assert row["at"] == datetime(2020, 2, 1)
    with pytest.raises(UsageError, match="has no time"):
        decode(raw, "x.csv", schema=own(a="timestamp[ms]", b="timestamp[ms]"), **given)


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        ("x.jsonl", {"fields": {"z": "a"}}, "'z' is no field of schema own"),
        ("x.jsonl", {"fields": {"n": "@name"}}, "'@name' is text, and field n takes none"),
        ("x.jsonl", {"melt": {"a": "b"}}, "'melt' is for schema reading, not own"),
        (
            "x.png",
            {},
            "its suffix states no format for schema own; say `format:` for its source (jsonl, json",
        ),
        ("x", {"format": "binary"}, "format binary gives blob, not schema own (for that: jsonl, json, text"),
    ],
)
def test_what_cannot_be_is_refused(path: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        decode(b"", path, schema=own(n="int8"), **given)
    assert message in str(error.value)
