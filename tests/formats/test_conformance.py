"""Every built-in format passes the suite that plug-ins are tested with."""

from __future__ import annotations

import io
import tarfile
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from formats.records.own_schemas import CHAT
from formats.seeds import GIF, HTML, JPEG, flac, png, wav
from formats.web.archives import by_record, response
from skyhaul.testing.formats import FormatSuite, Repeated
from skyhaul_connectors.formats.registry import FORMATS

_SIZE = FormatSuite.huge_size
WORDS = b"some words " * 200
_TABLE = pa.table({"text": ["one", "two ä", "three"] * 10, "id": list(range(30))})


def _parquet(table: pa.Table, rows: int) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=rows)
    return out.getvalue()


def _arrow(table: pa.Table, rows: int, *, stream: bool = False) -> bytes:
    out = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, rows)
    return out.getvalue()


def _tar(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


def _members(members: dict[str, bytes]) -> bytes:
    """A tar without its end."""
    return _tar(members)[: sum(512 + -(-len(body) // 512) * 512 for body in members.values())]


class TestJsonl(FormatSuite):
    format = "jsonl"
    path = "a.jsonl"
    samples = (b'{"text":"a"}\n\n{"text":"b","m":[1,{"x":2}]}\r\n{"text":"c"}',)
    cuts_anywhere = True
    huge = Repeated.of_size(_SIZE, b'{"text": "%s"}\n' % WORDS)


class TestJson(FormatSuite):
    format = "json"
    path = "a.json"
    samples = (
        b'[{"text":"a"},\n {"text":"b","m":{"x":[1,2]}}]',
        b'{"text":"one"}',
        b'{"text":"a"}\n{"text":"b"}',
    )
    huge = Repeated.of_size(_SIZE, b'{"text": "%s"},\n' % (WORDS * 5), head=b"[", tail=b'{"text": "x"}]')


class TestText(FormatSuite):
    format = "text"
    path = "a.txt"
    samples = ("eins zwei\n\nbäume €\r\n".encode(), "ü\n".encode("utf-16"))
    options: ClassVar = {"max_record": "8MiB"}
    too_large = Repeated.of_size(_SIZE, b"some words\n")


class TestParagraphs(FormatSuite):
    format = "text"
    path = "a.txt"
    options: ClassVar = {"unit": "paragraph", "encoding": "utf-8"}
    samples = ("eins\nzwei\n\n \nbäume €\r\n\r\nlast".encode(),)
    cuts_anywhere = True
    huge = Repeated.of_size(_SIZE, (WORDS + b"\n") * 2 + b"\n")


class TestHtml(FormatSuite):
    format = "html"
    path = "a.html"
    samples = (HTML, "<p>ü".encode("utf-16"))
    too_large = Repeated.of_size(_SIZE, b"<p>words")


class TestWarc(FormatSuite):
    format = "warc"
    path = "a.warc"
    samples = (
        b"".join(response(f"page {n} <b>bold</b>", n) for n in range(3)),
        by_record([response("page", 1), response("page", 2)]),
    )
    huge = Repeated.of_size(_SIZE, response("page " * 2000, 1))


class TestParquet(FormatSuite):
    format = "parquet"
    path = "a.parquet"
    samples = (_parquet(_TABLE, 10),)
    too_large = Repeated.of_size(_SIZE, b"no footer", head=b"PAR1")
    """Row groups are read in a child process that has a limit of its own (test_starved_child)."""


class TestArrow(FormatSuite):
    format = "arrow"
    path = "a.arrow"
    samples = (_arrow(_TABLE, 10), _arrow(_TABLE, 10, stream=True))
    too_large = Repeated.of_size(_SIZE, b"no footer", head=b"ARROW1\0\0")


class TestCsv(FormatSuite):
    format = "csv"
    path = "a.csv"
    samples = (b'text,id\n"a ""b""\nc",1\r\nd,2\n', "text\ný\n".encode("utf-16"))
    fields: ClassVar = {"text": "text"}
    huge = Repeated.of_size(_SIZE, b'"%s",1\n' % WORDS, head=b"text,id\n")


class TestTsv(FormatSuite):
    format = "tsv"
    path = "a.tsv"
    samples = (b"text\tid\na\t1\nb\t2\n",)
    fields: ClassVar = {"text": "text"}
    huge = Repeated.of_size(_SIZE, b"%s\t1\n" % WORDS, head=b"text\tid\n")


class TestImage(FormatSuite):
    format = "image"
    path = "a.png"
    schema = "image"
    options: ClassVar = {"max_image": "8MiB"}
    samples = (png(), GIF, JPEG)
    too_large = Repeated.of_size(_SIZE, bytes(1000))


class TestAudio(FormatSuite):
    format = "audio"
    path = "a.wav"
    schema = "audio"
    options: ClassVar = {"max_audio": "8MiB"}
    samples = (wav(0.01), flac())
    too_large = Repeated.of_size(_SIZE, bytes(1000))


class TestTar(FormatSuite):
    format = "tar"
    path = "a.tar"
    samples = (_tar({"a/one.txt": b"one", "a/two.jsonl": b'{"text":"a"}\n{"text":"b"}\n'}),)
    huge = Repeated.of_size(_SIZE, _members({"a.txt": WORDS * 50}), tail=bytes(1024))


class TestTarOfImages(FormatSuite):
    format = "tar"
    path = "a.tar"
    schema = "image"
    samples = (_tar({"x.png": png(), "x.txt": b"a caption", "x.json": b'{"k":1}'}),)
    huge = Repeated.of_size(
        _SIZE,
        _members({"a.gif": GIF, "a.txt": WORDS * 5, "b.gif": GIF, "b.txt": WORDS * 5}),
        tail=bytes(1024),
    )


class TestBinary(FormatSuite):
    format = "binary"
    path = "a.bin"
    schema = "blob"
    samples = (png(), b"plain")
    huge = Repeated.of_size(2 * _SIZE, b"anything ")
    memory = 90 * 1024**2
    """Parts of 16 MiB are read, and lie in batches, a copy or two of each."""


def test_each_built_in_format_is_among_them() -> None:
    suites = [kind for kind in globals().values() if isinstance(kind, type) and issubclass(kind, FormatSuite)]
    assert {kind.format for kind in suites if kind is not FormatSuite} == set(FORMATS)


pytestmark = pytest.mark.timeout(300)


_CHAT = b'{"prompt":"%s","score":1.5,"turns":[{"role":"u","tokens":1},null],"tags":["a"],"more":1}\n'


class TestJsonlOfAnOwnSchema(FormatSuite):
    format = "jsonl"
    path = "a.jsonl"
    schema = CHAT
    samples = (_CHAT % b"a" * 10,)
    cuts_anywhere = True
    huge = Repeated.of_size(_SIZE, _CHAT % WORDS)


class TestCsvOfAnOwnSchema(FormatSuite):
    format = "csv"
    path = "a.csv"
    schema = CHAT
    samples = (b"prompt,score,good,tags\r\n" + b'one,1.5,true,"[""a""]"\r\ntwo,,,\r\n' * 10,)
    options: ClassVar = {"quoted_newlines": False}
    cuts_anywhere = True
    huge = Repeated.of_size(_SIZE, b'%s,1.5,true,"[""a""]"\n' % WORDS, head=b"prompt,score,good,tags\n")


_TURNS = pa.table({"prompt": ["a"] * 30, "turns": [[{"role": "u", "x": 1}], None, []] * 10})


class TestParquetOfAnOwnSchema(FormatSuite):
    format = "parquet"
    path = "a.parquet"
    schema = CHAT
    samples = (_parquet(_TURNS, 7),)
    too_large = Repeated.of_size(_SIZE, b"no footer", head=b"PAR1")
