"""`on_drift: null`: a record stays where one of its optional fields does not fit, and that is counted."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
import pytest
from tests.formats.decoding import decode

from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk, whole
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for

ROWS: list[dict[str, Any]] = [
    {"station": "s", "time": "2024-01-01", "temp": "1.5", "latitude": "x"},
    {"station": "s", "time": "17:00", "temp": "warm", "latitude": "1"},
    {"station": "s", "time": "", "temp": "", "latitude": "2"},
]
EXPECTED = [(1.5, True, None), (None, False, 1.0), (None, False, 2.0)]


def csv(rows: list[dict[str, Any]]) -> bytes:
    lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
    return "\n".join(lines).encode()


def arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def nulled(
    raw: bytes, path: str, schema: str = "reading", **more: Any
) -> tuple[list[Any], dict[str, int], list[str]]:
    """Rows, counts, and reasons of rejects."""
    fields = more.pop("fields", {})
    given = DecodeSettings(schema, fields, more, on_drift="null")
    rows, counts, reasons = [], dict[str, int](), []
    for step in decoder_for(None, given, path).decode(BytesChunk(raw, whole(len(raw), path))):
        rows += step.batch.to_pylist()
        reasons += [reject.reason for reject in step.rejects]
        for reason, count in step.nulled.items():
            counts[reason] = counts.get(reason, 0) + count
    return rows, counts, reasons


def seen(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["value"], row["time"] is not None, row["latitude"]) for row in rows]


def test_csv() -> None:
    rows, counts, reasons = nulled(csv(ROWS), "x.csv", melt={"temp": "t"})
    assert (seen(rows), reasons) == (EXPECTED, [])
    assert counts == {
        "latitude: no decimal number": 1,
        "time: no ISO 8601 time": 1,
        "value: no decimal number": 1,
    }


def test_json() -> None:
    lines = (
        b'{"text":"a","created":"2024"}\n{"text":"b","created":true}\n{"text":"c","created":1}\n'
        b'{"text":"d","created":"2024-01-01","id":[1]}\n{"text":null,"created":7}\n'
    )
    rows, counts, reasons = nulled(lines, "x.jsonl", "document")
    assert [row["text"] for row in rows] == ["a", "b", "c", "d"]
    assert [row["created"] is None for row in rows] == [True, True, True, False]
    assert counts == {
        "created: no ISO 8601 time": 1,
        "created: a boolean, not a time as a string": 1,
        "created: an integer, not a time": 1,
        "source_id: an array, not a string or an integer": 1,
    }
    assert reasons == ["text: column 'text' is null"]
    assert nulled(b"[" + lines.strip().replace(b"\n", b",") + b"]", "x.json", "document")[1:] == (
        counts,
        reasons,
    )


def test_many_lines_are_the_same_as_one() -> None:
    good, bad = b'{"text":"a","created":"2024-01-01T00:00:00Z"}\n', b'{"text":"b","created":"soon"}\n'
    raw = good * 3000 + bad + good * 3000
    rows, counts, reasons = nulled(raw, "x.jsonl", "document")
    assert (len(rows), counts, reasons) == (6001, {"created: no ISO 8601 time": 1}, [])


def test_tables() -> None:
    table = pa.table(
        {
            "quantity": ["t", "t", None],
            "value": pa.array([2**60, 1, 2**60]),
            "time": ["2024-01-01", "never", "never"],
            "station": pa.array([{"a;b": 1}] * 3),
        }
    )
    rows, counts, reasons = nulled(arrow(table), "x.arrow")
    assert [(row["value"], row["time"] is None, row["station"]) for row in rows] == [
        (None, False, None),
        (1.0, True, None),
    ]
    assert counts == {
        "value: an integer that a double cannot hold": 1,
        "time: no ISO 8601 time": 1,
        "station: a column of another type": 2,
    }
    assert reasons == ["quantity: column 'quantity' is null"], "what is rejected is not counted as made null"


def test_melted_tables() -> None:
    table = pa.table({"time": pa.array(["x", "2024-01-01"]), "temp": ["a", "b"], "wind": [1.0, 2.0]})
    rows, counts, _ = nulled(arrow(table), "x.arrow", melt={"temp": "t", "wind": "w"})
    assert [(row["quantity"], row["value"]) for row in rows] == [
        ("t", None),
        ("w", 1.0),
        ("t", None),
        ("w", 2.0),
    ]
    assert counts == {"time: no ISO 8601 time": 1, "value: a column of another type": 2}


@pytest.mark.parametrize("policy", ["reject", "null"])
def test_a_required_field_is_never_made_null(policy: str) -> None:
    table = arrow(pa.table({"text": pa.array([1, 2]), "created": ["x", "y"]}))
    found = decode(table, "x.arrow", on_drift=policy)
    assert (found.rows, found.reasons) == ([], ["text: column 'text' holds int64"] * 2)
    found = decode(b"text\n", "x.csv", on_drift=policy, schema="document")
    assert found.rows == []


def test_inside_an_archive() -> None:
    import tarfile

    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for name in ("a.jsonl", "b.jsonl"):
            body = b'{"text":"a","created":"soon"}\n'
            member = tarfile.TarInfo(name)
            member.size = len(body)
            tar.addfile(member, io.BytesIO(body))
    rows, counts, reasons = nulled(sink.getvalue(), "x.tar", "document")
    assert (len(rows), counts, reasons) == (2, {"created: no ISO 8601 time": 2}, [])
