"""docs/schemas.md is what the program says of its schemas."""

from __future__ import annotations

from pathlib import Path

from cli.program import call
from skyhaul_schemas.records import BODIES
from skyhaul_schemas.reference import MEANINGS, SCHEMAS, reference

ROOT = Path(__file__).resolve().parents[2]


def test_docs_schemas_md_is_the_reference_of_today() -> None:
    assert (ROOT / "docs" / "schemas.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_command_prints_it() -> None:
    answer = call("schema", "--records")
    assert answer.code == 0
    assert answer.out == reference()


def test_every_schema_is_there_and_no_meaning_is_left_over() -> None:
    assert SCHEMAS.keys() == BODIES.keys()
    said = {meaning for meaning in MEANINGS.values() if f"| {meaning} |" not in reference()}
    assert said == set()
