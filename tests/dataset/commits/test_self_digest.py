"""A record that says something else than it was written with is none."""

from __future__ import annotations

import json
import random

import pytest
from pydantic import ValidationError

from skyhaul.dataset.commits.record_files import same_commit
from skyhaul_schemas.commit import (
    CommitRecord,
    CommittedFile,
    CommittedSource,
    FailureRecord,
    Place,
    RecordCounts,
    TransferCounts,
)
from skyhaul_schemas.self_digest import check_digest, digest_of

SHA = "0123456789abcdef" * 4
COMMIT = CommitRecord(
    shard=3,
    plan=SHA,
    source="s",
    files=[
        CommittedFile(path="data/0000/train-0000003-000.parquet", bytes=9, sha256=SHA, rows=2, raw_bytes=9)
    ],
    sources=[CommittedSource(object="a/\u00f6\n.jsonl", ranges=[(0, 9)], sha256=SHA)],
    records=RecordCounts(read=4, written=2, filtered=1, rejected=0, passed_over=1),
    filtered_by={"short": 1},
    passed_over_by={"a link": 1},
    passed_over_first=Place(object="a", offset=3, reason="a link"),
    truncated_by={"png": 1},
    transfer={"leo": TransferCounts(payload_bytes=9, wire_bytes=12)},
    started="2026-01-01T00:00:00.000Z",
    finished="2026-01-01T00:00:01.000Z",
    versions={"skyhaul": "0"},
)
FAILURE = FailureRecord(
    shard=3, plan=SHA, source="s", kind="K", reason="r", attempts=1, where="w", final=True, at="a"
)


@pytest.mark.parametrize("record", [COMMIT, FAILURE])
@pytest.mark.parametrize("indent", [None, 2])
def test_every_changed_bit_is_refused_or_changes_nothing(
    record: CommitRecord | FailureRecord, indent: int | None
) -> None:
    sound = record.to_line(indent=indent)
    stated = json.loads(sound)
    assert type(record).model_validate_json(sound) == record.kept()
    rng = random.Random(1)
    for at in range(len(sound)):
        data = bytearray(sound)
        data[at] ^= 1 << rng.randrange(8)
        try:
            type(record).model_validate_json(bytes(data))
        except ValidationError:
            continue
        assert json.loads(data) == stated


def test_a_digest_covers_what_is_said_and_not_how() -> None:
    content = {"b": [1, 2.5, None], "a": {"y": "\u00f6", "x": True}}
    again = {"a": {"x": True, "y": "\u00f6"}, "b": [1, 2.5, None]}
    assert digest_of(content) == digest_of(again) == digest_of({**content, "digest": "x"})
    assert check_digest({**content, "digest": digest_of(content)})
    assert not check_digest(content)
    with pytest.raises(ValueError, match="bytes of it have changed"):
        check_digest({**content, "digest": "0" * 64})


@pytest.mark.parametrize("sha256", ["", "x" * 64, SHA.upper(), SHA[1:], "?" + SHA[1:], f"{SHA}\n"])
def test_digests_are_64_hex_digits(sha256: str) -> None:
    for part in (COMMIT.files[0], COMMIT.sources[0]):
        with pytest.raises(ValidationError):
            type(part).model_validate({**part.model_dump(), "sha256": sha256})


def test_two_attempts_say_the_same_whatever_their_digests_are() -> None:
    later = COMMIT.model_copy(update={"finished": "2026-02-02T00:00:00.000Z", "transfer": {}})
    assert COMMIT.kept().digest != later.kept().digest
    assert same_commit(COMMIT.to_line(), later.to_line())
    other = COMMIT.model_copy(update={"filtered_by": {"long": 1}})
    assert not same_commit(COMMIT.to_line(), other.to_line())
    rotten = COMMIT.to_line().replace(b'"wire_bytes":12', b'"wire_bytes":13')
    assert not same_commit(rotten, later.to_line()), "what rots is no record, also where it is incidental"
