"""Formats by name and by suffix, and errors that say what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from formats.decoding import settings
from formats.records.own_schemas import CHAT
from skyhaul_connectors.formats.reference import meanings, page
from skyhaul_connectors.formats.registry import (
    FORMATS,
    check_options,
    decoder_for,
    format_of,
    options_of,
)
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.records import OWN

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("path", "schema", "wanted"),
    [
        ("a/b.jsonl", "document", "jsonl"),
        ("a/B.NDJSON.GZ", "document", "jsonl"),
        ("x.jsonl.zst", "reading", "jsonl"),
        ("x.py", "document", "text"),
        ("x.txt.xz", "document", "text"),
        ("x.jsonl", "blob", "binary"),
        ("Makefile", "blob", "binary"),
        ("Makefile", "document", None),
        ("x.jsonl.unknown", "document", None),
    ],
)
def test_the_suffix_and_the_schema_state_the_format(path: str, schema: str, wanted: str | None) -> None:
    assert format_of(path, schema) == wanted


def test_every_format_builds_a_decoder_for_every_schema_it_states() -> None:
    for entry in FORMATS.values():
        for schema in entry.schemas:
            decoder = decoder_for(entry.name, settings(CHAT if schema == OWN else schema), "object")
            assert all(isinstance(version, str) for version in decoder.fingerprint.values())
            assert decoder.fingerprint["pyarrow"]
        assert entry.about


@pytest.mark.parametrize(
    ("format", "schema", "options", "message"),
    [
        ("jsnol", "document", {}, r"format 'jsnol' is unknown \(allowed: .*jsonl.*\)"),
        (
            "jsonl",
            "blob",
            {},
            r"jsonl gives document or reading, not schema blob \(for that: tar, binary",
        ),
        (
            "jsonl",
            "document",
            {"max_lime": 1},
            r"'max_lime' is not one of format jsonl \(allowed: .*max_line",
        ),
        ("jsonl", "document", {"max_line": "big"}, r"'max_line' of format jsonl: .*'big'"),
        ("jsonl", "document", {"max_depth": 5000}, r"'max_depth' of format jsonl: .*200"),
        ("text", "document", {"unit": "word"}, r"'unit' of format text: .*'object' or 'paragraph'"),
        ("binary", "blob", {"x": 1}, r"'x' is not one of format binary \(allowed: none\)"),
        (
            None,
            "document",
            {"max_lime": 1},
            r"'max_lime' is of no format for schema document \(allowed: .*unit",
        ),
        (None, "document", {"unit": "word"}, r"'unit' of format text: .*'object' or 'paragraph'"),
    ],
)
def test_a_bad_format_or_option_is_one_line_that_says_what_is_allowed(
    format: str | None, schema: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_options(format, settings(schema, options=options))
    assert str(caught.value).isprintable()


def test_a_field_that_the_schema_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'title' is no field of schema document \(allowed: created"):
        check_options("jsonl", settings(fields={"title": "x"}))


def test_an_object_whose_suffix_says_nothing_is_named() -> None:
    with pytest.raises(UsageError, match=r"^a/Makefile: its suffix states no format.*text"):
        decoder_for(None, settings(), "a/Makefile")


def test_a_source_of_mixed_formats_gives_each_its_own_options() -> None:
    mixed = settings(options={"unit": "paragraph", "max_line": "1MB"})
    check_options(None, mixed)
    decoder_for(None, mixed, "x.txt")
    decoder_for(None, mixed, "x.jsonl")


def test_docs_formats_md_is_the_program_of_today() -> None:
    assert (ROOT / "docs" / "formats.md").read_text() == page(), "run `make docs`"


@pytest.mark.parametrize("name", FORMATS)
def test_every_option_is_explained(name: str) -> None:
    model = options_of(FORMATS[name])
    assert set(meanings(model)) == set(model.model_fields)


def test_options_of_one_schema_are_refused_in_another_and_left_to_the_format_that_has_them() -> None:
    for format, option in {"tar": "truncated", "parquet": "max_pixels", "arrow": "truncated"}.items():
        value = 9 if option == "max_pixels" else "reject"
        with pytest.raises(
            UsageError, match=f"'{option}' of format {format} is for schema image, not document"
        ):
            decoder_for(format, settings("document", options={option: value}), "x")
        decoder_for(format, settings("image", options={option: value}), "x")
    with pytest.raises(UsageError, match="'truncated' is of no format for schema document"):
        check_options(None, settings("document", options={"truncated": "keep"}))
    mixed = settings("document", options={"encoding": "latin-1"})
    check_options(None, mixed)
    assert decoder_for(None, mixed, "x.txt") is not None
    assert decoder_for(None, mixed, "x.tar") is not None
