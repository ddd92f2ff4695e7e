"""Which line is the header, what its cells name, and what is no table at all."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import pytest
from tests.formats.decoding import decode

RDB = (
    "# U.S. Geological Survey\n# agency it's \"theirs\ntemp, is in degrees\n"
    "site_no\tdatetime\ttemp\n5s\t20d\t10n\n01\t2024-01-01 00:00\t1.5\n# within\n02\t2024-01-02 00:00\t2.5\n"
)
READINGS: dict[str, Any] = {
    "schema": "reading",
    "fields": {"station": "site_no", "time": "datetime"},
    "melt": {"temp": "t"},
}


def seen(raw: str | bytes, path: str = "x.tsv", **more: Any) -> list[Any]:
    found = decode(raw if isinstance(raw, bytes) else raw.encode(), path, **{**READINGS, **more})
    return [(row["station"], row["value"]) for row in found.rows] + found.reasons


def test_comments_stand_before_a_plain_header() -> None:
    raw = RDB.replace("\ntemp, is", "\n# temp, is")
    expected = [("01", 1.5), ("02", 2.5)]
    assert seen(raw, comment="#", skip_after_header=1) == expected
    with_units = decode(raw.encode(), "x.tsv", comment="#", units_row=True, **READINGS).rows
    assert [(row["value"], row["unit"]) for row in with_units] == [(1.5, "10n"), (2.5, "10n")]
    assert len(seen(raw, comment="#")) == 3, "the line of formats is no record"
    for cut in (len(raw) // 2, raw.index("01\t"), raw.index("# within"), 5):
        found = decode(raw.encode(), "x.tsv", cuts=[cut], comment="#", skip_after_header=1,
                       quoted_newlines=False, **READINGS)  # fmt: skip
        assert [(row["station"], row["value"]) for row in found.rows] == expected, cut


@pytest.mark.parametrize(
    "head",
    [
        "#site_no\tdatetime\ttemp\n",
        "# NOAA, of 2024\n#site_no\tdatetime\ttemp\n# temp in C\n",
        "#site_no\tdatetime\ttemp\n#text\tiso\tdegC\n",
        "\n\n# site_no \tdatetime\t temp\n",
        "#'\"\n#site_no\tdatetime\ttemp\n",
    ],
)
def test_or_the_header_stands_behind_the_mark(head: str) -> None:
    raw = head + "01\t2024-01-01\t1.5\n02\t2024-01-02\t2.5\n"
    assert seen(raw, comment="#") == [("01", 1.5), ("02", 2.5)]


def test_the_plain_line_is_the_header_where_it_names_as_much() -> None:
    raw = "#site_no\tdatetime\ttemp\nsite_no\tdatetime\ttemp\n01\t2024-01-01\t1.5\n"
    assert seen(raw, comment="#") == [("01", 1.5)]
    assert seen("# nothing\n# at all\n", comment="#") == []
    assert seen("", comment="#") == []
    many = "# a comment\n" * 5000
    assert seen(many + raw, comment="#") == [("01", 1.5)]
    assert seen("#site_no\tdatetime\ttemp\n" + many + "01\t2024-01-01\t1.5\n", comment="#") == [("01", 1.5)]


def test_with_names_of_its_own_all_such_lines_are_comments() -> None:
    raw = "# temp\n01\t2024-01-01\t1.5\n"
    assert seen(raw, comment="#", columns=["site_no", "datetime", "temp"]) == [("01", 1.5)]


def text(raw: str | bytes, **more: Any) -> list[Any]:
    found = decode(raw if isinstance(raw, bytes) else raw.encode(), "x.csv", **more)
    return [(row["text"], row["metadata"]) for row in found.rows] + found.reasons


def test_cells_at_the_headers_end_that_name_nothing_are_no_columns() -> None:
    assert text("text,b,,\nx,1,,\ny,2, ,\nz,3\n") == [
        ("x", '{"b":"1"}'),
        ("y", '{"b":"2"}'),
        ("z", '{"b":"3"}'),
    ]
    assert text("text,b,\nx,1,\ny,2,lost\nz,3,,\n") == [
        ("x", '{"b":"1"}'),
        "a cell in a column that has no name",
        "4 cells where the header has 2",
    ]
    assert text(",text\n0,x\n") == [("x", '{"":"0"}')], "a column before others may have no name"
    assert text(",text,,b\n0,x,1,2\n") == ["header: column '' is there twice (name them by `columns`)"]
    assert text(",,\n1,2,3\n") == ["header: column '' is there twice (name them by `columns`)"]
    assert text("text,b,text\n1,2,3\n") == ["header: column 'text' is there twice (name them by `columns`)"]


def test_a_mark_and_quotes_are_no_part_of_a_name() -> None:
    assert text(b'\xef\xbb\xbf"text","b"\nx,1\n') == [("x", '{"b":"1"}')]
    assert text('\ufeff"text","b"\nx,1\n'.encode("utf-16-le")) == [("x", '{"b":"1"}')]


def test_a_header_of_very_many_columns() -> None:
    names = ",".join(f"c{n}" for n in range(300_000))
    assert text(f"text,{names}\nx\n") == ["1 cells where the header has 300001"]
    assert text(f"text,{names},c7\nx\n") == ["1 cells where the header has 300002"]
    reason = "header: 300001 columns, more than max_columns of 1000"
    found = decode(f"text,{names}\nx\n".encode(), "x.csv", max_columns=1000)
    assert (found.reasons, found.damaged) == ([reason], True)
    assert text("text" + "," * 600_000 + "\nx\n") == [("x", None)], "what has no name is no column"


CR = "lines that end in CR alone; convert them to LF"


@pytest.mark.parametrize(
    ("path", "raw", "options"),
    [
        ("x.csv", b"id,text\r1,a\r2,b\r", {}),
        ("x.csv", b'id,text\r"1","a"\r', {}),
        ("x.csv", b"id,text\r1,a\r", {"quoted_newlines": False}),
        ("x.csv", b"id,text\r1,a\r", {"quote": "none"}),
        ("x.csv", b"id text\r1 a\r", {"delimiter": "whitespace"}),
        ("x.csv", b"id,text\r" + b"1,a\r" * 1000, {"max_record": 1024}),
        ("x.csv", b"id,text\n1,a\r2,b\r", {}),
        ("x.tsv", "id\ttext\r1\ta\r".encode("utf-16"), {}),
        ("x.jsonl", b'{"text":"a"}\r{"text":"b"}\r', {}),
        ("x.jsonl", b'{"text":"a"}\r' * 1000, {"max_line": 1000}),
    ],
)
def test_cr_alone_is_named(path: str, raw: bytes, options: dict[str, Any]) -> None:
    found = decode(raw, path, **options)
    assert found.rows == []
    assert all(CR in reason for reason in found.reasons), found.reasons
    assert found.reasons


def zipped(name: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), "text,x")
    return sink.getvalue()


@pytest.mark.parametrize("path", ["x.csv", "x.tsv", "x.jsonl", "x.json"])
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('{"text":"a"}\n'.encode("utf-16-le"), "UTF-16, not UTF-8"),
        ('{"text":"a"}\n'.encode("utf-16-be"), "UTF-16, not UTF-8"),
        ('{"text":"a"}\n'.encode("utf-32-le"), "UTF-32, not UTF-8"),
        (zipped("a.csv"), "a ZIP archive, not text"),
        (zipped("[Content_Types].xml"), "an Office file (xlsx, docx), not text"),
        (gzip.compress(b'{"text":"a"}\n', mtime=0), "gzip, not text"),
        (b"PAR1" + bytes(40), "a Parquet file, not text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(40), "an old Office file"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_is_no_text_is_named(path: str, raw: bytes, said: str) -> None:
    found = decode(raw, path, compression="none")
    assert found.rows == []
    assert said in found.reasons[0], found.reasons


def test_json_with_a_mark_of_utf16_is_named() -> None:
    for name in ("x.jsonl", "x.json"):
        found = decode('{"text":"a"}\n'.encode("utf-16"), name)
        assert found.reasons[0] == "a NUL byte (UTF-16, not UTF-8; convert it)"
