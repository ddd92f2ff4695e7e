"""The drafts WARC 0.17 and 0.18, as ClueWeb09 and archives of 2008 have them."""

from __future__ import annotations

import pytest

from formats.decoding import decode
from formats.web.archives import DRAFTS, PAGES, WORDS, by_record, numbers, record

INFO = record("warcinfo", b"software: test\r\n", Content_Type="application/warc-fields")


@pytest.mark.parametrize(
    "change", [lambda raw: raw, lambda raw: raw.replace(b"\r\n", b"\n")], ids=["CRLF", "LF"]
)
@pytest.mark.parametrize("pack", [b"".join, by_record], ids=["plain", "by record"])
def test_the_drafts_0_17_and_0_18_are_read_as_warc_is(pack, change) -> None:
    lengths = [int(one.partition(b"Content-Length: ")[2].partition(b"\r")[0]) for one in DRAFTS]
    drafts = []
    for one, length in zip(DRAFTS, lengths, strict=True):
        raw = change(one)
        right = len(raw.partition(change(b"\r\n\r\n"))[2]) - 2 * len(change(b"\r\n"))
        drafts.append(raw.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % right))
    raw = pack([*drafts, INFO.replace(b"1.0", b"0.18"), PAGES[3]])
    found = decode(raw, "x.warc")
    assert numbers(found) == [*range(20), 3]
    assert (found.reasons, found.passed_over) == ([], {"a warcinfo record": 1})


@pytest.mark.parametrize("off", [-40, -3, 5, 6, 7, 8, 9, 10, 13, 14, 20, 30, 500])
def test_a_draft_that_states_a_wrong_length_ends_where_the_next_record_begins(off: int) -> None:
    for version, taken in ((b"WARC/0.18", True), (b"WARC/1.0", False)):
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + WORDS.encode()
        bad = record("response", block, length=len(block) + off, WARC_Record_ID="<urn:uuid:9>")
        found = decode(PAGES[0] + bad.replace(b"WARC/1.0", version) + PAGES[1] + PAGES[2], "x.warc")
        assert (numbers(found), len(found.rejects)) == (([0, 9, 1, 2], 0) if taken else ([0, 1, 2], 1)), (
            version
        )
        if taken:
            assert found.texts[1] == WORDS
            last = decode(PAGES[0] + bad.replace(b"WARC/1.0", version), "x.warc")
            assert last.damaged == (off > 4), "an archive that ends inside a record is still truncated"


def test_the_day_that_clueweb09_made_up_is_no_time_but_kept() -> None:
    draft = DRAFTS[0].replace(b"2024-05-18T01:58:10Z", b"2009-03-65T08:43:19-0800")
    (row,) = decode(draft, "x.warc").rows
    assert row["created"] is None
    assert '"date":"2009-03-65T08:43:19-0800"' in row["metadata"]
    (row,) = decode(DRAFTS[0].replace(b"2024-05-18T01:58:10Z", b"20080430204825"), "x.warc").rows
    assert row["created"].isoformat() == "2008-04-30T20:48:25+00:00"
