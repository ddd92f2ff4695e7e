"""CSV and its kin: dialects, headers, sentinels, damage, and sensors' wide tables."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from formats.decoding import settings as settings_of
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.errors import DecodeError, DriftError, UsageError
from skyhaul_schemas.plan import Chunk, PinnedObject

DOC = {"fields": {"text": "t"}}


def test_the_header_names_the_columns_and_the_rest_is_metadata() -> None:
    raw = b'id,t,"x,y"\r\n7,Hello,1\r\n8,"a ""b""\r\nc",\r\n'
    found = decode(raw, "x.csv", **DOC)
    assert found.texts == ["Hello", 'a "b"\r\nc']
    assert [row["source_id"] for row in found.rows] == ["7", "8"]
    assert [row["metadata"] for row in found.rows] == ['{"x,y":"1"}', '{"x,y":null}']
    assert [raw[row["offset"] :][: row["length"]] for row in found.rows] == [
        b"7,Hello,1\r",
        b'8,"a ""b""\r\nc",\r',
    ]


def test_the_csv_spectrum_is_read_as_its_json_says(shared_data: Path) -> None:
    folder = shared_data / "malformed" / "csv-spectrum"
    names = sorted(path.stem for path in (folder / "csvs").glob("*.csv"))
    assert len(names) == 12
    for name in names:
        raw = (folder / "csvs" / f"{name}.csv").read_bytes()
        wanted = json.loads((folder / "json" / f"{name}.json").read_text("utf-8"))
        wanted = wanted if isinstance(wanted, list) else [wanted]
        first = next(iter(wanted[0]))
        found = decode(raw, "x.csv", fields={"text": first}, missing=[])
        assert not found.rejects, name
        rows = [{first: row["text"], **json.loads(row["metadata"] or "{}")} for row in found.rows]
        if name == "location_coordinates":
            # The collection's own JSON has another telephone number than its CSV.
            assert rows[0].pop("Contact Phone Number") == "2095257564"
            del wanted[0]["Contact Phone Number"]
        ends = [{key: value.replace("\r\n", "\n") for key, value in row.items()} for row in rows]
        assert wanted in (rows, ends), name


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"only", "1 cells where the header has 2"),
        (b"a,b,c", "3 cells where the header has 2"),
        (b'"a"x,b', "malformed CSV: ',' expected after '\"'"),
        (b"a\rb,c", "malformed CSV: new-line character seen in unquoted field"),
        (b"a\x00,b", "a NUL byte"),
        (b"\xff,b", "invalid utf-8"),
    ],
)
def test_a_bad_record_costs_only_itself(raw: bytes, reason: str) -> None:
    whole = b"t,u\nbefore,1\n" + raw + b"\nafter,2\n"
    for quoted in (True, False):
        found = decode(whole, "x.csv", quoted_newlines=quoted, **DOC)
        assert found.texts == ["before", "after"]
        (reject,) = found.rejects
        assert reject.reason.startswith(reason)
        assert (reject.offset, reject.length, reject.raw) == (13, len(raw), raw)
        assert not found.damaged


def test_a_quote_that_never_ends_is_damage_from_its_record_on() -> None:
    found = decode(b't,u\na,1\n"b,2\nc,3\n', "x.csv", **DOC)
    assert found.texts == ["a"]
    assert found.damaged
    assert (found.rejects[0].offset, found.rejects[0].length) == (8, 9)
    assert found.reasons == ["a quoted cell that does not end"]
    assert decode(b't,u\n"b,2\nc', "x.csv", **DOC).rejects[0].length == 6
    lines = decode(b't,u\na,1\n"b,2\nc,3\n', "x.csv", quoted_newlines=False, **DOC)
    assert lines.counts == (2, 1, False)


def test_a_quoted_cell_over_the_cap_is_damage_in_bounded_memory() -> None:
    raw = b't,u\na,1\n"' + b"line\n" * 100_000
    found = decode(raw, "x.csv", max_record=5000, **DOC)
    assert found.counts == (1, 1, True)
    assert found.reasons == ["a quoted cell that does not end within max_record"]


def test_a_long_line_is_rejected_and_the_next_is_read() -> None:
    raw = b"t,u\n" + b"x" * 3_000_000 + b",1\nb,2\n"
    found = decode(raw, "x.csv", max_record=5000, **DOC)
    assert found.texts == ["b"]
    assert found.rejects[0].length == 3_000_002


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"t,u\n", b"\xef\xbb\xbft,u"])
def test_no_records_no_rows(raw: bytes) -> None:
    assert decode(raw, "x.csv", **DOC).counts == (0, 0, False)


def test_a_header_that_names_a_column_twice_is_damage() -> None:
    found = decode(b"t,t\na,b\n", "x.csv", **DOC)
    assert found.counts == (0, 1, True)
    assert "column 't' is there twice" in found.reasons[0]
    (reject,) = decode(b'skipped\n\n# t ,"t"\r\na,b\n', "x.csv", skip_lines=1, comment="#", **DOC).rejects
    assert (reject.offset, reject.length, reject.raw) == (9, 9, b'# t ,"t"\r')


def test_dialects() -> None:
    assert decode(b"t;u\n'a;b';1\n", "x.csv", delimiter=";", quote="'", **DOC).texts == ["a;b"]
    assert decode(b't\tu\na "b"\t1\n', "x.tsv", quote="none", **DOC).texts == ['a "b"']
    assert decode(b"t|u\na\\|b|1\n", "x.csv", delimiter="|", escape="\\", quote="none", **DOC).texts == [
        "a|b"
    ]
    assert decode(b"a,1\nb,2\n", "x.csv", columns=["t", "u"], **DOC).texts == ["a", "b"]
    assert decode(b"junk\n\nt,u\n# no\na,1\n", "x.csv", skip_lines=2, comment="#", **DOC).texts == ["a"]
    assert decode("t,u\nä,1\n".encode("latin-1"), "x.csv", encoding="latin-1", **DOC).texts == ["ä"]


def test_a_comment_mark_inside_quotes_is_text() -> None:
    raw = b'# t,"u\n# v"\n# no\n1,"one\n# heading\ntwo"\n\n# no, "\n2,x\n'
    for encoding in ("utf-8", "utf-16-le"):
        given = raw.decode().encode(encoding)
        found = decode(given, "x.csv", encoding=encoding, comment="#", fields={"text": "u\n# v"})
        assert found.texts == ["one\n# heading\ntwo", "x"]
        assert not found.rejects
    lines = decode(raw, "x.csv", comment="#", quoted_newlines=False, columns=["a", "t"], **DOC)
    assert (lines.texts, len(lines.rejects)) == (["x"], 2)


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings_whose_lines_are_not_in_the_bytes(name: str) -> None:
    text = 't,u\r\nä😀,1\r\n"x\ny",2\r\n'
    raw = text.encode(name)
    if name[-2:] in ("le", "be"):
        raw = "\ufeff".encode(name) + raw
    for options in ({}, {"encoding": name}):
        found = decode(raw, "x.csv", **options, **DOC)
        assert found.texts == ["ä😀", "x\ny"]
        cut = decode(raw[:-3], "x.csv", **options, **DOC)
        assert (cut.texts, cut.damaged) == (["ä😀"], True)
        (rest,) = cut.rejects
        assert rest.offset + rest.length == len(raw) - 3
        assert raw[rest.offset : -3] == rest.raw


@pytest.mark.parametrize(
    ("name", "mark"),
    [("utf-8-sig", True), ("utf-16", True), ("utf-16", False), ("utf-32", True), ("utf-16-be", True),
     ("utf-16-be", False), ("cp037", False), ("utf-8", True)],
)  # fmt: skip
def test_records_and_rejects_are_bytes_of_the_object_in_any_encoding(name: str, mark: bool) -> None:
    plain = {"utf-8-sig": "utf-8", "utf-16": f"utf-16-{sys.byteorder[0]}e", "utf-32": "utf-32-le"}.get(
        name, name
    )
    text = "t,u\n" + "".join(f"row {n},1\nbad\n" for n in range(5))
    raw = ("\ufeff" * mark + text).encode(plain)
    found = decode(raw, "x.csv", encoding=name, **DOC)
    assert found.texts == [f"row {n}" for n in range(5)]
    taken = [raw[row["offset"] :][: row["length"]].decode(plain) for row in found.rows]
    assert taken == [f"row {n},1" for n in range(5)]
    assert [reject.raw.decode(plain) for reject in found.rejects] == ["bad"] * 5
    assert [raw[reject.offset :][: reject.length] for reject in found.rejects] == ["bad".encode(plain)] * 5


@pytest.mark.parametrize("name", ["utf-7", "iso2022_jp", "hz"])
def test_an_encoding_with_state_is_refused_when_the_job_is_read(name: str) -> None:
    with pytest.raises(UsageError, match="no byte offsets"):
        decode(b"", "x.csv", encoding=name)


def test_max_record_is_of_a_record_in_any_encoding() -> None:
    text = "t,u\n" + "short,1\n" * 10_000
    found = decode(text.encode("utf-16-le"), "x.csv", encoding="utf-16-le", max_record=65536, **DOC)
    assert found.counts == (10_000, 0, False)
    for long in (40_000, 3_000_000):
        raw = (text + "x" * long + ",1\nafter,2\n").encode("utf-16-le")
        found = decode(raw, "x.csv", encoding="utf-16-le", max_record=65536, **DOC)
        assert found.counts == (10_001, 1, False)
        assert found.texts[-1] == "after"
        (reject,) = found.rejects
        assert (reject.offset, reject.length) == (2 * len(text), 2 * long + 4)
        assert reject.raw == raw[reject.offset :][:4096]
        assert reject.reason == f"a record of {2 * long + 4} bytes, more than max_record of 65536"
        # Its end may be the object's.
        found = decode(raw[: 2 * (len(text) + long)], "x.csv", encoding="utf-16-le", max_record=65536, **DOC)
        assert (found.rejects[0].offset, found.rejects[0].length) == (2 * len(text), 2 * long)


def test_sentinels_are_null_and_null_text_is_drift() -> None:
    found = decode(b"t,u\na,NA\nNA,1\n", "x.csv", missing=["NA", ""], **DOC)
    assert found.rows[0]["metadata"] == '{"u":null}'
    assert found.reasons == ["text: column 't' is null"]
    with pytest.raises(DriftError):
        decode(b"t,u\nNA,1\n", "x.csv", missing=["NA"], on_drift="fail", **DOC)


def test_white_space_does_not_hide_a_sentinel_of_numbers() -> None:
    raw = b"station,time,value,t\nS,2020-01-01, -9999, MM\nS,2020-01-01,-9999 , 999.9\nS,2020-01-01, 1, \n"
    options = {"missing": [-9999, "MM", 999.9, ""], "schema": "reading"}
    melted = decode(raw, "x.csv", melt={"value": "v", "t": "w"}, **options).rows
    assert [row["value"] for row in melted] == [None, None, None, None, 1.0, None]
    raw = raw.replace(b"time,value,t", b"time,value,quantity")
    plain = decode(raw, "x.csv", **options).rows
    assert [row["value"] for row in plain] == [None, None, 1.0]
    assert [row["quantity"] for row in plain] == [" MM", " 999.9", " "]


BUOY = (
    b"#STN   YYYY MM DD hh mm WSPD  ATMP\n"
    b"#text    yr mo day hr mn  m/s  degC\n"
    b"22101  2018 07 30 21 00   1.0    MM\n"
    b"22102  2018 07 30 21 10  99.9  -1.5\n"
)
BUOY_OPTIONS = {
    "delimiter": "whitespace",
    "comment": "#",
    "units_row": True,
    "missing": ["MM"],
    "time_columns": ["YYYY", "MM", "DD", "hh", "mm"],
    "time_format": "%Y %m %d %H %M",
    "melt": {"WSPD": "wind_speed", "ATMP": {"quantity": "air_temperature", "unit": "C"}},
    "fields": {"station": "STN"},
}


def test_a_wide_table_of_sensors_melts_to_readings() -> None:
    rows = decode(BUOY, "b.txt", format="csv", schema="reading", **BUOY_OPTIONS).rows
    assert [(row["station"], row["quantity"], row["value"], row["unit"]) for row in rows] == [
        ("22101", "wind_speed", 1.0, "m/s"),
        ("22101", "air_temperature", None, "C"),
        ("22102", "wind_speed", 99.9, "m/s"),
        ("22102", "air_temperature", -1.5, "C"),
    ]
    assert rows[2]["time"].isoformat() == "2018-07-30T21:10:00+00:00"
    assert len({row["offset"] for row in rows}) == 4
    assert [row["metadata"] for row in rows] == [None] * 4


def test_cells_that_are_no_number_or_time_are_drift() -> None:
    raw = BUOY + b"22103 2018 13 30 21 00 1.0 2\n22104 2018 12 30 21 00 1,0 2\n22105 2018 12 30 21 00 nan 2\n"
    found = decode(raw, "b.txt", format="csv", schema="reading", **BUOY_OPTIONS)
    assert len(found.rows) == 4
    assert [reason.split("holds ")[1] for reason in found.reasons] == [
        "'2018 13 30 21 00', which is no time as %Y %m %d %H %M",
        "'1,0', which is no decimal number",
        "'nan', which is no decimal number",
    ]


def test_a_long_table_of_sensors_is_read_as_it_is() -> None:
    raw = (
        b"station,time,quantity,value,unit,quality,latitude,longitude\nS,2020-01-01 06:00,t,1e1,C,ok,-5.5,120"
    )
    (row,) = decode(raw, "x.csv", schema="reading", utc_offset="+06:00").rows
    assert (row["value"], row["latitude"], row["longitude"], row["quality"]) == (10.0, -5.5, 120.0, "ok")
    assert row["time"].isoformat() == "2020-01-01T00:00:00+00:00"


def test_the_station_may_be_in_the_objects_name() -> None:
    raw = b"time,quantity,value\n2020-01-01,t,1\n"
    (row,) = decode(raw, "buoys/44025.std.csv", schema="reading", fields={"station": "@stem"}).rows
    assert row["station"] == "44025"


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": "ab"},
        {"delimiter": '"'},
        {"quote": ""},
        {"utc_offset": "5"},
        {"utc_offset": "+25:00"},
        {"melt": {"a": {"quantity": ""}}},
        {"melt": {"a": "b"}},
        {"comment": ""},
        {"quote": ","},
        {"escape": ","},
        {"escape": '"'},
        {"delimiter": "|", "quote": "|"},
        {"columns": ["a", "b", "a"]},
        {"missing": [True]},
        {"missing": [None]},
        {"time_format": "%Q"},
        {"time_format": "%Y %"},
        {"time_format": "%Y %Y"},
        {"time_format": "%G-%j"},
    ],
)
def test_bad_options_are_refused_when_the_job_is_read(options: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        decode(b"", "x.csv", **options)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "pattern",
    [
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%d/%b/%y %I:%M %p",
        "%c",
        "%a %x %X %Z",
        "%G-W%V-%u",
        "%Y%j",
        "%H%%",
        "%U %w %Y",
    ],
)
def test_patterns_of_times_that_strptime_knows_are_taken(pattern: str) -> None:
    assert decode(b"", "x.csv", time_format=pattern).counts == (0, 0, False)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"a,1", b"", b"\r", b"b,2\r", b'"c",3', b"bad", b"x" * 1100, b"\xff,1"]), max_size=25
    ),
    st.lists(st.integers(0, 3000), max_size=5),
)
def test_where_it_is_cut_changes_nothing(lines: list[bytes], cuts: list[int]) -> None:
    raw = b"t,u\n" + b"\n".join(lines)
    options = {**DOC, "quoted_newlines": False, "max_record": 1024}
    whole = decode(raw, "x.csv", **options)
    parts = decode(raw, "x.csv", cuts=[cut % (len(raw) + 1) for cut in cuts], **options)
    assert (parts.rows, parts.rejects) == (whole.rows, whole.rejects)


_CELLS = st.lists(st.lists(st.text(alphabet='ab,"\n\r é', max_size=5), min_size=2, max_size=2), max_size=8)


@settings(max_examples=80, deadline=None)
@given(_CELLS)
def test_what_a_csv_writer_wrote_is_read_back(cells: list[list[str]]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([["t", "u"], *cells])
    found = decode(out.getvalue().encode(), "x.csv", missing=[], **DOC)
    assert not found.rejects
    assert [[row["text"], json.loads(row["metadata"])["u"]] for row in found.rows] == cells


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from([b"a", b",", b'"', b"\n", b"\r", b"\0", b"\xff", b"1.5", b"t,u\n"]), max_size=30
    ),
    st.booleans(),
    st.sampled_from([",", "whitespace"]),
)
def test_any_bytes_are_rows_or_rejects(parts: list[bytes], quoted: bool, delimiter: str) -> None:
    raw = b"".join(parts)
    decode(raw, "x.csv", quoted_newlines=quoted, delimiter=delimiter, **DOC)
    decode(gzip.compress(raw), "x.csv.gz", quoted_newlines=quoted, delimiter=delimiter, **DOC)


BAD_HEADERS = {
    "a column twice": (b"t,t\n", {}),
    "an open quote": (b'"t\n', {}),
    "too long": (b"t" * 2000 + b"\n", {"max_record": 1024}),
    "too many columns": (b"t,a,b,c\n", {"max_columns": 3}),
}


@pytest.mark.parametrize("name", BAD_HEADERS)
def test_a_bad_header_is_told_once_wherever_the_object_is_cut(name: str) -> None:
    head, options = BAD_HEADERS[name]
    raw = head + b"a\n" * 3000
    known = {**DOC, "quoted_newlines": False, **options}
    whole = decode(raw, "x.csv", **known)
    assert whole.damaged
    assert len(whole.rejects) == 1
    for cuts in ([4000], [2500, 4000, 6000], [len(head) + 1]):
        cut = decode(raw, "x.csv", cuts=cuts, **known)
        assert (cut.rows, cut.rejects, cut.damaged) == (whole.rows, whole.rejects, True), cuts


def test_a_bad_header_fails_each_chunk_where_damage_fails() -> None:
    raw = b"t,t\n" + b"a,b\n" * 3000
    given = settings_of(on_damage="fail", fields={"text": "t"}, options={"quoted_newlines": False})
    obj = PinnedObject("src", "x.csv", len(raw), "")
    for start in (0, 4000):
        chunk = Chunk(0, 0, obj, start, 4000)
        with pytest.raises(DecodeError, match="is there twice"):
            list(decoder_for(None, given, "x.csv").decode(BytesChunk(raw, chunk)))
