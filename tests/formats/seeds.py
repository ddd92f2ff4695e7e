"""Small objects of every format, sound or nearly so, and options to read them with."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import brotli
import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from formats.web.archives import by_record, http_record, response

TOOK = pa.list_(pa.struct([("for", pa.duration("ns"))]))
TABLE = pa.table(
    {
        "text": [f"text {n} é" for n in range(60)],
        "id": list(range(60)),
        "value": [n / 3 for n in range(60)],
        "bytes": [b"\x89PNG\r\n\x1a\n"] * 60,
        "image": [{"bytes": b"GIF89a", "path": "x"}, None, {"bytes": None, "path": "y"}] * 20,
        "tags": [["a", None]] * 60,
        "d": pa.array(["p", "q"] * 30).dictionary_encode(),
        "created": pa.array(range(60), pa.timestamp("ms")),
        "took": pa.array(
            [[{"for": n}] for n in range(60)], pa.list_(pa.struct([("for", pa.duration("ns"))]))
        ),
        "price": pa.array(map(Decimal, range(60)), pa.decimal128(9, 2)),
    }
)


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(TABLE, out, row_group_size=20, write_page_checksum=True, compression="zstd")
    return out.getvalue()


def int96() -> bytes:
    out = io.BytesIO()
    at = pa.array([[n * 10**9] for n in range(60)], pa.list_(pa.timestamp("s")))
    table = pa.table({"text": TABLE["text"], "created": TABLE["created"], "at": at})
    pq.write_table(table, out, row_group_size=20, compression="none", use_deprecated_int96_timestamps=True)
    return out.getvalue()


def arrow(stream: bool = False, table: pa.Table = TABLE) -> bytes:
    out = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, 20)
    return out.getvalue()


TWICE = pa.StructArray.from_arrays([TABLE["id"].combine_chunks()] * 2, names=["d", "d"])
SAME_NAMES = pa.table([TABLE["text"], TABLE["id"], TWICE, TWICE], names=["text", "a", "a", "a_1"])


def same_names() -> bytes:
    out = io.BytesIO()
    pq.write_table(SAME_NAMES, out, row_group_size=20, compression="none")
    return out.getvalue()


def png() -> bytes:
    def part(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 2, 2, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\1\2\0\3\4")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", pixels) + part(b"IEND", b"")


def tar(kind: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, body in {
            "a/one.txt": b"one",
            "a/two.jsonl": b'{"text":"a"}\n{"text":"b"}\n',
            "b/x.png": png(),
            "b/x.txt": b"a caption",
            "b/x.json": b'{"k":1}',
            "b/._x.png": b"\0\5\x16\7",
            "b/y.gif": GIF,
            "b/y.txt": "\ufeffmarked".encode("utf-16-le"),
            "b/" + "long" * 40 + ".csv": b"text\na\n",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


JSONL = (
    b'{"text":"a \\ud83d\\ude00","n":1e5,"q":[1,{"k":null}]}\r\n{"id":12345678901234567890,"text":"b"}\n\n{}'
)
SAME = b"text,a,a_1,a\nx,1,2,3\n" * 3
CSV = b'text,id,value,time\n"a ""b""\nc",1,2.5,2020-01-01\nd,2,-9999,2020-01-02T03:04:05Z\n'
RDB = b"# agency\n# it's \"theirs\ntext;value;time;;\n5s;10n;20d;;\na;3,14;1700000000;;\nb;-9999,0;x;;y\r"
BUOY = b"#STN YYYY MM WSPD  ATMP\n#text yr mo  m/s  degC\n22101 2018 07  1.0 MM\n22102 2018 07 99.9 -1.5\n"
PAGES = [response(f"page {n} <b>bold</b>", n, head="Content-Encoding: identity\r\n") for n in range(3)]
WEB = b"".join(
    (
        response("a draft", 1).replace(b"WARC/1.0", b"WARC/0.18").replace(b"\r\n", b"\n"),
        response("early", 2).replace(b"HTTP/1.1", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1"),
        http_record(
            b'HTTP/1.1 200 OK\r\nContent-Type: text/plain;x=",", text/html charset=big5\r\n'
            b"Content-Encoding: gzip\r\nContent-Encoding: br\r\n\r\n"
            + brotli.compress(gzip.compress(b"<p>\xa4\xa4\xa4\xe5", mtime=0))
        ),
        http_record(b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd, deflate\r\n\r\n<p>plain", 4),
    )
)
HTML = (
    b"<!doctype html><html lang=de><meta charset=utf-8><title>T</title><p>eins<table><tr><td>x</table></html>"
)
GIF = b"GIF89a\2\0\2\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\2\0\2\0\0\2\2D\1\0;"

JPEG = (
    b"\xff\xd8\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    b"\xff\xc0\0\x0b\x08\0\2\0\2\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0\x12\xff\0\x34\xff\xd9"
)


def wav(seconds: float = 1.5, channels: int = 2, rate: int = 8000) -> bytes:
    """Silence in PCM of 16 bits (Multimedia Programming Interface and Data Specifications 1.0)."""
    data = bytes(int(seconds * rate) * channels * 2)
    kind = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVE" + kind + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def flac(samples: int = 12000, channels: int = 2, rate: int = 8000) -> bytes:
    """A FLAC file's head (RFC 9639, 8.2), which is all that says how long it is."""
    packed = rate << 44 | (channels - 1) << 41 | 15 << 36 | samples
    info = struct.pack(">HH6x", 4096, 4096) + packed.to_bytes(8, "big") + bytes(16)
    return b"fLaC" + bytes([0x80]) + len(info).to_bytes(3, "big") + info + b"\xff\xf8" + bytes(100)


SEEDS: dict[str, list[bytes]] = {
    "audio": [wav(0.01), flac()],
    "jsonl": [JSONL],
    "json": [b'[{"text":"a"},{"text":"b","m":{"x":[1,2]}}]', b'{"text":"one","f":[{"text":"x"}]}', JSONL],
    "text": ["eins zwei\n\nbäume €\r\n\n".encode() * 3, "utf-16 ü\n".encode("utf-16"), b"caf\xe9 latin"],
    "html": [
        HTML,
        HTML.replace(b"utf-8", b"shift_jis").replace(b"eins", b"\x87\x40<\xa0\x81"),
        "<p>ü".encode("utf-16"),
    ],
    "warc": [b"".join(PAGES), by_record(PAGES), WEB],
    "parquet": [parquet(), int96(), same_names()],
    "arrow": [arrow(), arrow(stream=True), arrow(table=SAME_NAMES)],
    "csv": [CSV, CSV.decode().encode("utf-16"), BUOY, RDB, SAME, b'# t,"u\n# v"\n"one\n# two",-9999\n' * 3],
    "tsv": [CSV.replace(b",", b"\t")],
    "image": [
        png(),
        GIF,
        b"BM" + bytes(60),
        b"RIFF\x20\0\0\0WEBPVP8X" + bytes(30),
        b"II*\0\x08\0\0\0" + bytes(40),
        JPEG,
    ],
    "tar": [tar(tarfile.PAX_FORMAT), tar(tarfile.GNU_FORMAT)],
    "binary": [png(), b"plain"],
}
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "jsonl": [{}, {"max_line": 40}, {"max_depth": 2}, {"missing": ["b", 100000], "time_format": "epoch_s"}],
    "json": [{}, {"records": "f"}, {"records": "text"}],
    "text": [{}, {"unit": "paragraph", "encoding": "utf-8"}, {"encoding": "detect"}]
    + [{"encoding": label} for label in ("euc-jp", "big5", "gb18030", "iso-2022-jp", "windows-1255")]
    + [
        {
            "unit": "paragraph",
            "encoding": {"detect": ["shift_jis", "euc-jp", "koi8-r", "utf-8"], "least": 0.2},
        }
    ],
    "html": [{}, {"extract": "all"}, {"encoding": "gb2312"}],
    "warc": [{}, {"extract": "all", "statuses": "all"}],
    "parquet": [
        {},
        {"columns": ["text", "d"]},
        {"columns": ["text", "created"], "missing": ["text 1 é", 3]},
        {"fields": {"bytes": "/image/bytes"}},
        {"melt": {"price": "p", "id": "i"}, "missing": [7], "time_format": "epoch_ms"},
    ],
    "arrow": [
        {},
        {"columns": ["text"]},
        {"fields": {"bytes": "image"}},
        {"missing": ["p", 5], "time_format": "epoch_ns"},
    ],
    "csv": [
        {},
        {"quoted_newlines": False},
        {"missing": ["-9999"], "units_row": True},
        {"encoding": "utf-16", "max_record": 1024},
        {"encoding": "utf-8-sig", "comment": "#"},
        {"comment": "#", "quoted_newlines": False, "escape": "\\"},
        {
            "delimiter": "whitespace",
            "comment": "#",
            "melt": {"WSPD": "w", "ATMP": {"quantity": "t", "quality": "STN"}},
            "fields": {"station": "STN"},
            "time_columns": ["YYYY", "MM"],
            "time_format": "%Y %m",
            "units_row": True,
        },
        {"melt": {"id": "i", "value": "v"}, "fields": {"station": "text"}, "missing": [-9999]},
        {"comment": "#", "skip_after_header": 1, "max_columns": 3, "max_record": 1024},
        {"delimiter": ";", "decimal": ",", "missing": [-9999, "nan"], "time_format": "epoch_s"},
    ],
    "tsv": [{}, {"quote": "none", "comment": "#"}],
    "image": [{}, {"truncated": "reject"}],
}
WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda raw: gzip.compress(raw, mtime=0),
    ".zst": zstandard.ZstdCompressor(write_checksum=True).compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".lz4": lz4.frame.compress,
}
