"""Columns of one name are told apart, as DuckDB tells them apart, and no value is lost."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.decoding import Result, decode, settings
from skyhaul_connectors.formats.records.same_names import NAMES_VERSION, told_apart
from skyhaul_connectors.formats.registry import decoder_for


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def arrow(table: pa.Table, *, stream: bool = False) -> bytes:
    out = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    "parquet": parquet,
    "arrow": arrow,
    "arrow stream": lambda table: arrow(table, stream=True),
}


def of(names: list[str], *columns: Any) -> pa.Table:
    """A table of one row of each value, or of these columns."""
    return pa.table(columns or [pa.array([f"v{n}"]) for n in range(len(names))], names=names)


def rest(found: Result) -> list[Any]:
    return [json.loads(row["metadata"] or "{}") for row in found.rows] or found.reasons


def read(name: str, table: pa.Table, **options: Any) -> list[Any]:
    found = decode(WRITERS[name](table), "x", format=name.split()[0], **options)
    assert found.damaged == bool(found.reasons)
    return rest(found)


NAMES = [["text", "a", "a", "a"], ["a", "text", "b", "a", "b"], ["text", "x y", "x y"]]


@pytest.mark.parametrize("names", NAMES)
def test_they_are_named_as_duckdb_names_them(names: list[str], tmp_path: Path) -> None:
    table = of(names)
    pq.write_table(table, tmp_path / "x.parquet")
    values = table.to_batches()[0]
    lines = [",".join(names), ",".join(str(column[0]) for column in values.columns)]
    (tmp_path / "x.csv").write_text("".join(f"{line}\n" for line in lines))
    for file in ("x.parquet", "x.csv"):
        judge = duckdb.sql(f"select * from '{tmp_path / file}'")
        (row,) = judge.fetchall()
        wanted = dict(zip((column[0] for column in judge.description), row, strict=True))
        found = decode((tmp_path / file).read_bytes(), file)
        assert (found.texts, found.reasons) == ([wanted.pop("text")], [])
        assert rest(found) == [wanted]


@pytest.mark.parametrize("name", WRITERS)
def test_the_fields_of_structs_are_told_apart_at_every_level(name: str) -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([3])], names=["d", "d"])
    one = pa.array([0, 1], pa.int32())
    table = of(
        ["text", "in", "in", "list", "map", ""],
        pa.array(["a"]),
        twice,
        pa.StructArray.from_arrays([twice], names=["deep"]),
        pa.ListArray.from_arrays(one, twice),
        pa.MapArray.from_arrays(one, pa.array(["k"]), twice),
        pa.FixedSizeListArray.from_arrays(twice, 1),
    )
    both = {"d": 1, "d_1": 3}
    assert read(name, table) == [
        {"in": both, "in_1": {"deep": both}, "list": [both], "map": [["k", both]], "": [both]}
    ]


def test_a_dictionary_of_structs_too() -> None:
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([3])], names=["d", "d"])
    encoded = pa.DictionaryArray.from_arrays(pa.array([0, None], pa.int8()), twice)
    table = pa.table([pa.array(["a", "b"]), encoded], names=["text", "in"])
    assert read("arrow stream", table) == [{"in": {"d": 1, "d_1": 3}}, {"in": None}]


@given(st.lists(st.sampled_from(["a", "a_1", "a_1_1", "a_2", "", "_1", "b"])))
def test_no_two_are_equal_and_a_name_that_stands_once_stays(names: list[str]) -> None:
    found = told_apart(names)
    assert len(set(found)) == len(found) == len(names)
    for place, (name, own) in enumerate(zip(names, found, strict=True)):
        if names.index(name) == place:
            assert own == name
        else:
            assert own.startswith(f"{name}_")
            assert own not in names


def test_very_many_of_one_name_take_linear_time() -> None:
    assert told_apart(["a"] * 500_000)[-1] == "a_499999"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("fields", "options", "twice"),
    [
        ({"text": "a"}, {}, "a"),
        ({"text": "b", "source_id": "a"}, {}, "a"),
        ({"text": "b", "url": "/in/d"}, {}, "d"),
        ({"text": "b", "url": "/in_1/d"}, {}, None),
        ({"text": "b", "url": "a_1"}, {}, None),
        ({"text": "b"}, {"time_columns": ["a", "b"]}, "a"),
        ({"text": "b"}, {}, None),
        ({"text": "b", "url": "a"}, {"columns": ["b"]}, None),
        ({"text": "b", "url": "a"}, {"columns": ["a", "b"]}, "a"),
    ],
)
def test_a_name_that_stands_twice_names_no_column_for_a_field(
    name: str, fields: dict[str, str], options: dict[str, Any], twice: str | None
) -> None:
    struct = pa.StructArray.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["d", "d"])
    table = of(["a", "b", "a", "in"], pa.array(["1"]), pa.array(["2"]), pa.array(["3"]), struct)
    found = decode(WRITERS[name](table), "x", format=name.split()[0], fields=fields, **options)
    if twice is None:
        assert (found.texts, found.reasons) == (["2"], [])
        assert found.rows[0]["url"] == {"a_1": "3"}.get(fields.get("url", ""))
        return
    assert (found.rows, found.damaged, len(found.rejects)) == ([], True, 1)
    assert f"'{twice}' is there twice" in found.reasons[0]
    assert f"take the second as '{twice}_1', or another column" in found.reasons[0]


def test_a_field_that_takes_a_column_by_its_own_name_counts_as_one_that_takes_it() -> None:
    assert "'id' is there twice" in read("parquet", of(["text", "id", "id"]))[0]
    assert read("parquet", of(["text", "id", "id"]), fields={"source_id": "id_1"}) == [{"id": "v1"}]


@pytest.mark.parametrize("name", WRITERS)
def test_columns_says_the_names_of_the_table(name: str) -> None:
    table = of(["text", "a", "a_1", "a", "c"])
    wanted = [{"a": "v1", "a_2": "v3"}]
    assert read(name, table, columns=["text", "a"]) == wanted, "as where a_1 is read too"
    assert read(name, table) == [{**wanted[0], "a_1": "v2", "c": "v4"}]


def test_no_part_of_a_column_whose_name_stands_twice_is_read_alone() -> None:
    struct = pa.array([{"x": 1, "y": 2}])
    table = of(["text", "s", "s"], pa.array(["a"]), struct, struct)
    assert "'s' is there twice; name all of it" in read("parquet", table, columns=["text", "s.x"])[0]
    whole = {"x": 1, "y": 2}
    assert read("parquet", table, columns=["text", "s"]) == [{"s": whole, "s_1": whole}]


def test_images_in_a_struct_with_its_bytes_twice_are_refused() -> None:
    struct = pa.StructArray.from_arrays(
        [pa.array([b"GIF"])] * 2 + [pa.array(["p"])], ["bytes", "bytes", "path"]
    )
    for fields in ({}, {"bytes": "im"}):
        found = decode(parquet(of(["im"], struct)), "x.parquet", schema="image", fields=fields)
        assert "'bytes' is there twice" in found.reasons[0]


@pytest.mark.parametrize("columns", [None, ["text", "at", "in"]])
def test_times_of_96_bits_in_columns_of_one_name_are_each_looked_at(columns: list[str] | None) -> None:
    at = [pa.array([datetime(year, 1, 1)]) for year in (2000, 9999)]
    struct = pa.StructArray.from_arrays([*at, pa.array([1])], names=["at", "at", "n"])
    table = of(["text", "at", "n", "at", "in"], pa.array(["a"]), at[0], pa.array([7]), at[1], struct)
    raw = parquet(table, use_deprecated_int96_timestamps=True)
    more = {} if columns is None else {"columns": columns}
    (found,) = rest(decode(raw, "x.parquet", **more))
    years = {"at": "2000", "at_1": "9999"}
    assert {key: value[:4] for key, value in found.items() if key.startswith("at")} == years
    assert {key: str(value)[:4] for key, value in found["in"].items()} == {**years, "n": "1"}


def csv(raw: str, **options: Any) -> list[Any]:
    return rest(decode(raw.encode(), "x.csv", **options))


def test_columns_of_text_are_told_apart_by_the_same_rule() -> None:
    assert csv("text,a,a_1,a\nt,1,2,3\n") == [{"a": "1", "a_1": "2", "a_2": "3"}]
    assert csv('# text ,"a", a\nt,1,2\n', comment="#") == [{"a": "1", "a_1": "2"}]
    assert csv("text,a,a,,\nt,1,2,,\n") == [{"a": "1", "a_1": "2"}]
    reason = "header: column 'a' is there twice (name them by `columns`)"
    assert csv("text,a,a\nt,1,2\n", fields={"url": "a"}) == [reason]
    assert csv("text,a,a\nt,1,2\n", fields={"url": "/a"}) == [reason]
    assert csv("text,a,a\nt,1,2\n", fields={"url": "a_1"}) == [{"a": "1"}]
    assert csv("x\ntext,a,a\nt,1,2\n", skip_lines=2, columns=["text", "u", "url"]) == [{"u": "1"}]


def test_columns_of_text_that_are_melted_keep_their_units() -> None:
    raw = b"station,time,T,T\n,,degC,K\ns,2020-01-01,1,2\n"
    melt = {"T_1": "temperature"}
    found = decode(raw, "x.csv", schema="reading", melt=melt, units_row=True)
    assert [(row["value"], row["unit"], row["metadata"]) for row in found.rows] == [(2.0, "K", '{"T":"1"}')]


@pytest.mark.parametrize("format", ["csv", "tsv", "parquet", "arrow"])
def test_the_rule_is_in_the_fingerprint_of_those_that_follow_it(format: str) -> None:
    assert decoder_for(format, settings(), "").fingerprint.items() >= NAMES_VERSION.items()
    assert not decoder_for("jsonl", settings(), "").fingerprint.keys() & NAMES_VERSION
