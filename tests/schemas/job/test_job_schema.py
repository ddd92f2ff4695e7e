"""The JSON Schema that editors get: the names that the registries know, in their places."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from cli.program import call
from installed import WORDS, on_path, put
from schemas.job.job_texts import FULL, LEAST
from skyhaul.job_schema import job_schema, schemes
from skyhaul_connectors.formats.registry import FORMATS
from skyhaul_connectors.links.profile.presets import PRESETS
from skyhaul_schemas import plugins
from skyhaul_schemas.job.file import parse_job

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.yaml"))

SHOUT = """
from skyhaul.plugins import TransformDeclaration, TransformOptions


class Shouting(TransformOptions):
    times: int = 1


SHOUT = TransformDeclaration("shout", "ends texts with a mark", Shouting, lambda options, target: None)
"""


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = job_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(validator: Draft202012Validator, text: str) -> list[str]:
    """Where the job in `text` is not as the schema wants it."""
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


def job(source: str = "", link: str = "", more: str = "") -> str:
    return LEAST + f"    {source}\n" + (f"links:\n  far: {{{link}}}\n" if link else "") + more


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_are_as_it_says(validator: Draft202012Validator, path: Path) -> None:
    assert faults(validator, path.read_text()) == []


GOOD = [
    FULL,
    LEAST,
    job("format: ${FORMAT}"),
    job("format: csv\n    decode: {delimiter: tab, comment: '#', missing: [MM, '-9999']}"),
    job("format: csv\n    decode: {utc_offset: '+01:00', max_record: 1MiB}"),
    job("decode: {captions: beside, unit: paragraph}"),
    job("format: html\n    decode: {compression: gzip, max_output: 1GiB}"),
    job("format: parquet\n    via: far", "preset: leo, shared: store, down: 20Mbit/s, cap: 1TB/month"),
    job("via: [far]", 'emulate: "${TRUE}", free: [23:00-07:00], rates: {08:00-18:00: 1Mbit/s}, price: 0.25'),
    job(more="transforms: [{keep: length(text) > 5}, {normalise: NFC}]\n"),
    job("transforms: [{min_length: 3, column: text, name: short}, {identify_language: true}]"),
    job("max_rejects: {share: 5%, count: 1000}", more="on_drift: null\nmax_rejects: 10\n"),
    LEAST.replace("data/*.txt", "[HTTPS://a.example/x, http://b.example/y]"),
    LEAST.replace("data/*.txt", '"${BASE}/*.txt"'),
    LEAST.replace("data/*.txt", "C:/data/*.txt"),
    LEAST.replace("data/*.txt", "synthetic://a?count=3"),
    LEAST.replace("data/*.txt", "{list: https://a.example/objects.jsonl, root: https://a.example}"),
]


@pytest.mark.parametrize("text", GOOD)
def test_what_a_job_may_say_passes(validator: Draft202012Validator, text: str) -> None:
    parse_job(text, "job.yaml", {"FORMAT": "csv", "BASE": "/data", "TRUE": "yes"})
    assert faults(validator, text) == []


BAD = [
    ("$.sources.here.format", job("format: cvs")),
    ("$.sources.here.decode", job("format: csv\n    decode: {delimeter: tab}")),
    ("$.sources.here.decode.quoted_newlines", job("format: csv\n    decode: {quoted_newlines: perhaps}")),
    ("$.sources.here.decode", job("format: html\n    decode: {delimiter: tab}")),
    ("$.sources.here.decode", job("decode: {delimeter: tab}")),
    ("$.links.far.preset", job("", "preset: starlink")),
    ("$.links.far", job("", "preset: leo, shared: store")),
    ("$.schema", job(more="schema: documents\n")),
    ("$.transforms[0]", job(more="transforms: [{min_length: 3, max_length: 5}]\n")),
    ("$.transforms[0]", job(more="transforms: [{keep: a, column: text}]\n")),
    ("$.transforms[0]", job(more="transforms: [{shout: {times: 2}}]\n")),
    ("$.sources.here.transforms[0]", job("transforms: [{normalise: NFX}]")),
    ("$.sources.here.url", LEAST.replace("data/*.txt", "gopher://a.example/x")),
    ("$.sources.here.url", LEAST.replace("data/*.txt", "[s3://a/b, simplecache::s3://a/c]")),
    ("$", LEAST.replace("name: least", "nam: least")),
]


@pytest.mark.parametrize(("where", "text"), BAD)
def test_what_no_job_may_say_is_found_in_its_place(
    validator: Draft202012Validator, where: str, text: str
) -> None:
    assert where in faults(validator, text)


def test_every_name_is_there_with_what_it_means(validator: Draft202012Validator) -> None:
    parts: dict[str, Any] = validator.schema["$defs"]  # type: ignore[index]  # a schema may be a boolean
    formats = parts["SourceSpec"]["properties"]["format"]["anyOf"][0]
    assert formats["enum"] == list(FORMATS)
    assert all(named["description"] for named in formats["oneOf"])
    assert parts["LinkSpec"]["properties"]["preset"]["anyOf"][0]["enum"] == list(PRESETS)
    assert {"https", "s3", "file", "synthetic"} <= set(schemes())
    bare = [
        f"{name}.{key}"
        for name, part in parts.items()
        if name.startswith("decode.") and name.count(".") == 1
        for key, value in part["properties"].items()
        if not value.get("description")
    ]
    assert bare == []


@pytest.fixture
def site(tmp_path: Path) -> Iterator[None]:
    put(tmp_path / "1", "acme-words", "0.3.1", {"words": "acme_words:FORMAT"}, modules={"acme_words": WORDS})
    points = {"shout": "acme_shout:SHOUT"}
    put(tmp_path / "2", "acme-shout", "2", points, group=plugins.TRANSFORMS, modules={"acme_shout": SHOUT})
    bomb = {"bomb_format": "1 / 0"}
    put(tmp_path / "3", "bomb", "1", {"bomb": "bomb_format:X"}, modules=bomb)
    put(tmp_path / "4", "deep", "1", {"ipfs": "deep:X"}, group=plugins.SOURCES)
    with on_path(*(tmp_path / str(n) for n in (1, 2, 3, 4))):
        yield
    for name in ("acme_words", "acme_shout"):
        sys.modules.pop(name, None)


def test_what_packages_add_is_there_where_they_are_installed(site: None) -> None:
    validator = Draft202012Validator(job_schema())
    good = job(
        "format: words\n    decode: {upper: true}", more="transforms: [{shout: {times: 2}, name: loud}]\n"
    )
    assert faults(validator, good) == []
    assert faults(validator, LEAST.replace("data/*.txt", "ipfs://a/b")) == []
    assert faults(validator, job("format: words\n    decode: {uper: true}")) == ["$.sources.here.decode"]
    assert faults(validator, job(more="transforms: [{shout: {tims: 2}}]\n")) == ["$.transforms[0]"]
    assert faults(validator, job("format: bomb")) == ["$.sources.here.format"]


def test_the_command_prints_it() -> None:
    answer = call("schema")
    assert answer.code == 0
    assert json.loads(answer.out) == job_schema()
