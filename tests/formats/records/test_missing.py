"""Values that stand for a missing one."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.formats.decoding import decode

READINGS: dict[str, Any] = {"schema": "reading", "melt": {"temp": "t"}}


def values(raw: bytes, path: str, **more: Any) -> list[float | None]:
    found = decode(raw, path, **{**READINGS, **more})
    assert not found.reasons
    return [row["value"] for row in found.rows]


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def arrow(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    table = pa.table(columns)
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("sentinel", [-9999, "-9999", -9999.0, "-9.999E3"])
def test_a_number_stands_for_all_ways_to_write_it(sentinel: Any) -> None:
    cells = ["-9999", "-9999.0", " -9.999e3 ", "-9999.00", "-9999.1", "-999", ""]
    raw = "temp\n" + "\n".join(f"{cell};x" for cell in cells)
    raw = raw.replace("temp", "temp;note")
    given = {"delimiter": ";", "missing": ["", sentinel]}
    assert values(raw.encode(), "x.csv", **given) == [None] * 4 + [-9999.1, -999.0, None]
    comma = values(raw.replace(".", ",").encode(), "x.csv", decimal=",", **given)
    assert comma == [None] * 4 + [-9999.1, -999.0, None]


def test_elsewhere_in_a_table_of_text_a_sentinel_is_its_text() -> None:
    raw = b"station,temp,note\n0999,999.0,999.0\n999,1,999\nMM,MM,MM\n"
    rows = decode(raw, "x.csv", missing=[999, "MM"], **READINGS).rows
    assert [row["station"] for row in rows] == ["0999", None, None]
    assert [row["value"] for row in rows] == [None, 1.0, None]
    assert [row["metadata"] for row in rows] == ['{"note":"999.0"}', '{"note":null}', '{"note":null}']


def test_nan_stands_for_what_is_no_number() -> None:
    assert values(b"temp\nnan\nNaN\n1\n", "x.csv", missing=["NaN"]) == [None, None, 1.0]
    doubles = pa.array([float("nan"), 1.0, None])
    assert values(parquet(temp=doubles), "x.parquet", missing=["nan"]) == [None, 1.0, None]


@pytest.mark.parametrize("write", [parquet, arrow], ids=["parquet", "arrow"])
@pytest.mark.parametrize(
    ("array", "sentinel", "kept"),
    [
        (pa.array([-9999, 5, None], pa.int16()), -9999, 5.0),
        (pa.array([-9999.0, 5.0, None]), -9999, 5.0),
        (pa.array([-999.9, 5.0, None], pa.float32()), -999.9, 5.0),
        (pa.array([-999.5, 5.0, None], pa.float16()), "-999.5", 5.0),
        (pa.array([Decimal("-999.90"), Decimal("5.00"), None], pa.decimal128(6, 2)), -999.9, 5.0),
        (pa.array([2**32 - 1, 5, None], pa.uint32()), 2**32 - 1, 5.0),
        (pa.array([1e20, 5.0, None]), "1e20", 5.0),
    ],
    ids=lambda v: str(v.type) if isinstance(v, pa.Array) else None,
)
def test_columns_of_numbers_are_compared_as_numbers(
    write: Any, array: pa.Array, sentinel: Any, kept: float
) -> None:
    path = "x.parquet" if write is parquet else "x.arrow"
    assert values(write(temp=array), path, missing=[sentinel]) == [None, kept, None]


def test_texts_of_tables_and_json_are_compared_as_texts() -> None:
    raw = parquet(text=pa.array(["a", "b"]), lang=pa.array(["NA", "en"]), n=pa.array([7, 8]))
    rows = decode(raw, "x.parquet", missing=["NA", 7]).rows
    assert [row["metadata"] for row in rows] == ['{"lang":null,"n":null}', '{"lang":"en","n":8}']
    lines = b'{"text":"a","lang":"NA","n":7.0}\n{"text":"b","lang":"7","n":"7"}\n' * 300
    rows = decode(lines, "x.jsonl", missing=["NA", 7]).rows
    assert [row["metadata"] for row in rows[:2]] == ['{"lang":null,"n":null}', '{"lang":null,"n":null}']
    found = decode(b'{"text":"NA"}\n{"text":"a"}\n', "x.jsonl", missing=["NA"])
    assert (found.texts, found.reasons) == (["a"], ["text: column 'text' is null"])


def test_json_numbers_and_nested_values() -> None:
    lines = b'{"temp":-9999.0}\n{"temp":-9.999e3}\n{"temp":-9999}\n{"temp":1}\n{"temp":null}\n'
    assert values(lines, "x.jsonl", missing=[-9999]) == [None, None, None, 1.0, None]
    assert values(b"[" + lines[:-1].replace(b"\n", b",") + b"]", "x.json", missing=[-9999]) == [
        None, None, None, 1.0, None,
    ]  # fmt: skip
    given = {"schema": "reading", "fields": {"value": "/m/v", "quantity": "q"}, "missing": [-1]}
    rows = decode(b'{"q":"t","m":{"v":-1.0}}\n{"q":"t","m":{"v":2}}\n', "x.jsonl", **given).rows
    assert [row["value"] for row in rows] == [None, 2.0]


def test_a_decimal_comma_is_an_option() -> None:
    raw = b"temp;x\n3,14;a\n-1,5e2;b\n7;c\n"
    assert values(raw, "x.csv", delimiter=";", decimal=",") == [3.14, -150.0, 7.0]
    for cell in ("3.14", "1.000,5", "1,000,5", ","):
        found = decode(f"temp;x\n{cell};a\n".encode(), "x.csv", delimiter=";", decimal=",", **READINGS)
        assert found.reasons == [f"t: column 'temp' holds {cell!r}, which is no decimal number"]
    found = decode(raw, "x.csv", delimiter=";", **READINGS)
    assert len(found.reasons) == 2
