"""A source with nothing left of which nothing is in the dataset: not 0, and the first reason is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.hauling.living import Living

from skyhaul_schemas import layout

RECORD = (
    "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Date: 2024-05-18T01:58:10Z\r\nWARC-Record-ID: <urn:uuid:{n}>\r\n"
    "Content-Length: 0\r\n\r\n\r\n\r\n"
)


def made(tmp_path: Path, files: dict[str, bytes], **source: object) -> Living:
    living = Living(tmp_path, sources={"s": {"url": f"{tmp_path}/region/*", **source}})
    for name, body in files.items():
        (living.region / name).write_bytes(body)
    return living


def test_a_source_of_which_every_record_is_rejected_says_3_and_why(tmp_path: Path) -> None:
    living = made(tmp_path, {"a.jsonl": b'{"text": "x"\n', "b.jsonl": b""}, format="jsonl")
    run = living.program("run", "--json", "-q")
    assert run.returncode == 3
    (told,) = json.loads(run.stdout)["undelivered"]
    assert (told["source"], told["read"], told["rejected"], told["passed_over"]) == ("s", 2, 1, 1)
    assert (told["first"]["object"], told["first"]["offset"]) == ("a.jsonl", 0)
    assert told["first"]["reason"].startswith("malformed JSON")
    status = living.program("status")
    assert status.returncode == 3
    assert "source s delivered nothing: of 2 records read, 1 rejected and 1 passed over" in status.stdout
    assert "a.jsonl at byte 0: malformed JSON" in status.stdout
    assert json.loads(living.program("status", "--json").stdout)["undelivered"] == [told]
    verify = living.program("verify")
    assert verify.returncode == 0, "it is sound"
    assert "source s delivered nothing" in verify.stdout
    assert living.verify().to_json()["undelivered"] == [told]


def test_a_source_of_which_every_record_is_passed_over_says_3_and_why(tmp_path: Path) -> None:
    archive = "".join(
        RECORD.format(kind=kind, n=n) for n, kind in enumerate(("revisit", "request", "request"))
    )
    living = made(tmp_path, {"a.warc": archive.encode()})
    outcome = living.run()
    assert outcome.exit_code == 3
    record = json.loads((living.dataset / layout.commit_file(0)).read_bytes())
    assert record["records"] == {"read": 3, "written": 0, "filtered": 0, "rejected": 0, "passed_over": 3}
    assert record["passed_over_by"] == {"a request record": 2, "a revisit record": 1}
    assert record["passed_over_first"] == {"object": "a.warc", "offset": 0, "reason": "a revisit record"}
    (told,) = outcome.survey.undelivered
    assert str(told) == (
        "source s delivered nothing: of 3 records read, 3 passed over;"
        " the first: a.warc at byte 0: a revisit record"
    )
    assert "3 passed over" in (living.dataset / "README.md").read_text()
    assert living.status().to_json()["records"]["passed_over_by"] == record["passed_over_by"]
    assert living.verify().passed_over == 3


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"a.txt": b"", "b.txt": b""}, {"format": "text"}),
        ({"a.jsonl": b"", "b.jsonl": b"\n\n"}, {"format": "jsonl"}),
        ({"a.txt": b"words", "b.txt": b""}, {"format": "text"}),
        ({"a.txt": b"words"}, {"format": "text", "transforms": [{"keep": "length(text) > 100"}]}),
    ],
)
def test_a_source_that_has_nothing_to_deliver_or_whose_rules_took_all_says_0(
    tmp_path: Path, files: dict[str, bytes], source: dict[str, object]
) -> None:
    living = made(tmp_path, files, **source)
    assert living.run().exit_code == 0
    assert living.status().undelivered == ()
    assert living.verify().exit_code() == 0


def test_one_source_of_two_is_enough_and_what_is_left_comes_first(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a.txt").write_text("words")
    living = Living(
        tmp_path,
        sources={
            "bad": {"url": f"{tmp_path}/region/*.jsonl", "format": "jsonl"},
            "good": {"url": f"{tmp_path}/other/*.txt", "format": "text"},
        },
    )
    (living.region / "a.jsonl").write_bytes(b"[]\n")
    assert living.run().exit_code == 3
    assert [source.source for source in living.status().undelivered] == ["bad"]
    (number,) = (
        n for n in (0, 1) if living.status().by_source["good"].shards and _source_of(living, n) == "good"
    )
    (living.dataset / layout.commit_file(number)).unlink()
    assert living.status().exit_code() == 75


def _source_of(living: Living, shard: int) -> str:
    return str(json.loads((living.dataset / layout.commit_file(shard)).read_bytes())["source"])
