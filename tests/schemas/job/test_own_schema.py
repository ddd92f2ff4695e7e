"""A record schema of a job's own: read with file and line, named in Arrow's words, and part of the digest."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest

from skyhaul_schemas.arrow_types import BadType, parse_type, type_name
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.digest import digested_part, job_difference
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.records import planned_schema, shard_schema

JOB = """\
version: 1
name: own
dataset: out
sources: {logs: {url: a.jsonl}}
schema:
  name: preference
  columns: {prompt: string, chosen: string, score: float32, tags: list<string>,
            turns: "list<struct<role: string, content: string>>", taken: "timestamp[ms, UTC]"}
  required: [prompt]
"""


def job(text: str = JOB, **env: str) -> Job:
    return parse_job(text, "job.yaml", env).job


def refused(old: str, new: str) -> str:
    assert old in JOB
    with pytest.raises(UsageError) as error:
        job(JOB.replace(old, new), NAME="string")
    # Without columns: an editor's, and not what is asked here.
    return re.sub(r"(job.yaml:[0-9]+):[0-9]+:", r"\1:", str(error.value))


def test_a_mapping_declares_columns_by_the_names_of_arrows_types() -> None:
    schema = job().schema_
    assert shard_schema(schema).remove_metadata() == pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("prompt", pa.string(), nullable=False),
            ("chosen", pa.string()),
            ("score", pa.float32()),
            ("tags", pa.list_(pa.string())),
            ("turns", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
            ("taken", pa.timestamp("ms", "UTC")),
            ("metadata", pa.string()),
            shard_schema("document").field("provenance"),
        ]
    )


@pytest.mark.parametrize("rest", ["drop", "reject"])
def test_there_is_a_column_metadata_only_where_the_rest_is_kept(rest: str) -> None:
    schema = job(f"{JOB}  rest: {rest}\n").schema_
    assert "metadata" not in shard_schema(schema).names
    assert "metadata" in shard_schema(job().schema_).names


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "chosen: string",
            "id: string",
            "7: schema.columns.id: found 'id', allowed: another name: id is taken",
        ),
        ("chosen: string", "Provenance: bool", "7: schema.columns.Provenance: found 'Provenance'"),
        ("chosen: string", "Metadata: bool", "7: schema.columns.Metadata: found 'Metadata'"),
        ("chosen: string", "Prompt: bool", "7: schema.columns.Prompt: found 'Prompt', allowed: a name that"),
        (
            "chosen: string",
            "a-b: bool",
            "7: schema.columns.a-b: found 'a-b', allowed: letters, digits and '_'",
        ),
        ("score: float32", "score: flot32", "7: schema.columns.score: found 'flot32', allowed: float32"),
        ("score: float32", "score: decimal", "7: schema.columns.score: found 'decimal', allowed: bool, int8"),
        ("score: float32", "score: 32", "7: schema.columns.score: found 32, allowed: text"),
        (
            "timestamp[ms, UTC]",
            "timestamp[ns]",
            "8: schema.columns.taken: found 'timestamp[ns]', allowed: timest",
        ),
        ("content: string>>", "content: string>", "8: schema.columns.turns: found"),
        ("content: string>>", "Role: string>>", "8: schema.columns.turns: found"),
        ("[prompt]", "[prompt, answer]", "9: schema.required.1: found 'answer', allowed: a column: prompt"),
        ("name: preference", "name: document", "6: schema.name: found 'document', allowed: another name"),
        ("name: preference", "nam: preference", "6: schema.nam: found an unknown key, allowed: name"),
        (
            "required:",
            "rest: dropp\n  required:",
            "9: schema.rest: found 'dropp', allowed: 'metadata', 'drop' or",
        ),
        (
            "chosen: string",
            'chosen: "${NAME}"',
            "7: schema.columns.chosen: found ${NAME}, allowed: a value written",
        ),
    ],
)
def test_what_a_schema_cannot_be_is_told_with_file_and_line(old: str, new: str, line: str) -> None:
    assert f"job.yaml:{line}" in refused(old, new)


def test_a_name_of_a_type_reads_back_as_it_is_written() -> None:
    names = [
        "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
        "float64", "string", "large_string", "binary", "large_binary", "date32", "timestamp[ms]",
        "timestamp[us, UTC]", "list<list<int8>>", "struct<a b/c: list<struct<x: float32>>, y: bool>",
    ]  # fmt: skip
    names[-1] = "struct<a-b/c: list<struct<x: float32>>, y: bool>"
    assert [type_name(parse_type(name)) for name in names] == names
    # As Arrow itself prints them.
    assert [parse_type(str(parse_type(name))) for name in names] == [parse_type(name) for name in names]


@pytest.mark.parametrize(
    "name", ["list<" * 9 + "int8" + ">" * 9, "struct<>", "list<>", "", "int8 x", "map<a, b>"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(BadType):
        parse_type(name)


def test_the_digested_part_holds_the_shape_and_gives_it_back() -> None:
    part = digested_part(job(), {"logs": ["a.jsonl"]})["schema"]
    assert planned_schema(part) == job().schema_
    # A plan's header has its mappings sorted.
    assert planned_schema({**part, "columns": dict(sorted(part["columns"].items()))}) == job().schema_


@pytest.mark.parametrize(
    ("old", "new", "difference"),
    [
        ("score: float32", "score: float64", "schema.columns.score: plan has float32, job says float64"),
        (
            "required: [prompt]",
            "required: [prompt, chosen]",
            "schema.required: plan has prompt, job says prompt, ",
        ),
        ("required:", "rest: drop\n  required:", "schema.rest: plan has metadata, job says drop"),
        (
            "prompt: string, chosen: string",
            "chosen: string, prompt: string",
            "schema.order: plan has prompt, chos",
        ),
    ],
)
def test_another_shape_is_another_plan_and_the_difference_is_told(
    old: str, new: str, difference: str
) -> None:
    of = {"logs": ["a.jsonl"]}
    (told,) = job_difference(digested_part(job(), of), digested_part(job(JOB.replace(old, new)), of))
    assert told.startswith(difference)


def test_a_built_in_schema_stands_in_the_plan_as_ever() -> None:
    text = JOB.partition("schema:")[0] + "schema: reading\n"
    assert digested_part(job(text), {"logs": ["a.jsonl"]})["schema"] == "reading"
    assert not isinstance(job(text).schema_, OwnSchema)
