"""Format `fasta` does what every format must, and reads what it says."""

from __future__ import annotations

import gzip

from skyhaul.testing.decoding import Task, decode
from skyhaul.testing.formats import FormatSuite, Repeated
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_schemas.own_schema import OwnSchema

SAMPLE = b">sp|P69905 Hemoglobin subunit alpha\r\nMVLSPADKTN\r\nVKAAWGKVGA\r\n>second\nACGT-N*\n"


class TestFasta(FormatSuite):
    format = "fasta"
    path = "a.fasta"
    samples = (SAMPLE, gzip.compress(SAMPLE, mtime=0))
    huge = Repeated.of_size(FormatSuite.huge_size, b">id words\n" + b"ACGT" * 500 + b"\n")


def test_a_sequence_is_a_record_with_its_header() -> None:
    found = decode(Task("fasta", "a.fa", SAMPLE, DecodeSettings("document")))
    first, second = found.rows
    assert first["text"] == "MVLSPADKTNVKAAWGKVGA"
    assert first["source_id"] == "sp|P69905"
    assert first["metadata"] == '{"description":"Hemoglobin subunit alpha"}'
    assert (second["text"], second["offset"], second["length"]) == ("ACGT-N*", 61, 16)


def test_what_is_no_sequence_is_rejected_by_itself() -> None:
    raw = b"no header\n>a\nAC\n>b\nA1\n>c\n>d\nGT"
    found = decode(Task("fasta", "a.fa", raw, DecodeSettings("document")))
    assert [row["text"] for row in found.rows] == ["AC", "GT"]
    assert [reject.offset for reject in found.rejects] == [0, 16, 22]


def test_it_fills_the_columns_that_a_job_declares() -> None:
    schema = OwnSchema.of(
        "sequence", {"sequence": "string", "description": "large_string"}, ["sequence"], "drop"
    )
    found = decode(Task("fasta", "a.fa", SAMPLE, DecodeSettings(schema, {"sequence": "text"})))
    assert [row["sequence"] for row in found.rows] == ["MVLSPADKTNVKAAWGKVGA", "ACGT-N*"]
    assert [row["description"] for row in found.rows] == ["Hemoglobin subunit alpha", None]
