"""What a job names and nobody has is refused in one line, with the place of the name and what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.jobs import write_texts
from cli.program import call
from installed import on_path, put
from skyhaul_schemas import plugins

JOB = """\
version: 1
name: small
dataset: {folder}/dataset
spool: {folder}/spool
schema: document
sources:
  texts:
    url: {folder}/remote/*.txt
    format: text
    via: [leo]
links:
  leo:
    preset: leo
"""

URL, FORMAT, PRESET = "    url: {folder}/remote/*.txt\n", "    format: text\n", "    preset: leo\n"

STATION = """
from skyhaul.plugins import SourceKind

SOURCE = SourceKind(("station",), "a station", lambda opening: None, lambda name, urls: urls, {"hello": "a"})
"""

SHOUT = """
from skyhaul.plugins import TransformDeclaration, TransformOptions


class Shouting(TransformOptions):
    column: str | None = None
    times: int = 1


def build(options, target):
    target.column(options.column)
    return lambda batch: None


SHOUT = TransformDeclaration("shout", "ends texts with a mark", Shouting, build)
"""

CASES = {
    "format": (FORMAT, "    format: txt\n", "txt", "sources.texts.format: found 'txt', allowed: text"),
    "format like none": (
        FORMAT,
        "    format:\n      qqqq\n",
        "qqqq",
        "sources.texts.format: found 'qqqq', allowed: jsonl, json, text,",
    ),
    "format of another schema": (
        FORMAT,
        "    format: image\n",
        "image",
        "sources.texts.format: found 'image', allowed: a format of schema document: jsonl,",
    ),
    "decode option": (
        FORMAT,
        "    format: text\n    decode: {{untit: object}}\n",
        "untit",
        "sources.texts.decode.untit: found an unknown key, allowed: unit",
    ),
    "decode option of any format": (
        FORMAT,
        "    decode: {{colums: [a]}}\n",
        "colums",
        "sources.texts.decode.colums: found an unknown key, allowed: columns",
    ),
    "decode value": (
        FORMAT,
        "    format: text\n    decode:\n      unit: line\n",
        "line",
        "sources.texts.decode.unit: found 'line', allowed: 'object' or 'paragraph'",
    ),
    "encoding": (
        FORMAT,
        "    format: text\n    decode: {{encoding: utf-88}}\n",
        "utf-88",
        "sources.texts.decode.encoding: found 'utf-88', allowed: a text encoding (utf-8,",
    ),
    "format of members": (
        FORMAT,
        "    format: tar\n    decode: {{members: {{format: jsnl}}}}\n",
        "jsnl",
        "sources.texts.decode.members.format: found 'jsnl', allowed: jsonl",
    ),
    "option of members": (
        FORMAT,
        "    format: tar\n    decode: {{members: {{format: text, untit: object}}}}\n",
        "untit",
        "sources.texts.decode.members.untit: found an unknown key, allowed: unit",
    ),
    "field": (
        FORMAT,
        "    format: jsonl\n    fields: {{txt: body}}\n",
        "txt",
        "sources.texts.fields.txt: found an unknown key, allowed: text",
    ),
    "column of text": (
        FORMAT,
        "    format: text\n    fields: {{text: boddy}}\n",
        "boddy",
        "sources.texts.fields.text: found 'boddy', allowed: body",
    ),
    "name of an object": (
        FORMAT,
        "    format: jsonl\n    fields: {{language: '@nam'}}\n",
        "'@nam'",
        "sources.texts.fields.language: found '@nam', allowed: @name",
    ),
    "scheme": (
        URL,
        "    url: htps://station.example/*.txt\n",
        "htps",
        "sources.texts.url: found 'htps', allowed: https, http",
    ),
    "scheme of one of several": (
        URL,
        "    url: [https://station.example/a, htps://station.example/b]\n",
        "htps",
        "sources.texts.url.1: found 'htps', allowed: https, http",
    ),
    "scheme of a list's root": (
        URL,
        "    url: {{list: l.jsonl, root: statoin://north}}\n",
        "statoin",
        "sources.texts.url.root: found 'statoin', allowed: station",
    ),
    "scheme of a list": (
        URL,
        "    url: {{list: 'sftp://station.example/l.jsonl'}}\n",
        "'sftp",
        "sources.texts.url.list: found 'sftp', allowed: a path or an http or https URL",
    ),
    "scheme of checksums": (
        URL,
        URL + "    checksums: htps://station.example/sums\n",
        "htps",
        "sources.texts.checksums: found 'htps', allowed: https, http",
    ),
    "rule of made-up objects": (
        URL,
        "    url: synthetic://any?cuont=3\n",
        "synthetic",
        "sources.texts.url: found 'synthetic://any?cuont=3', allowed: synthetic://NAME?count=1000&size=4kB",
    ),
    "option of HTTP": (
        URL,
        "    url: https://station.example/*.txt\n    options: {{haeders: {{}}}}\n",
        "haeders",
        "sources.texts.options.haeders: found an unknown key, allowed: headers",
    ),
    "option of files": (
        URL,
        URL + "    options: {{anon: true}}\n",
        "anon",
        "sources.texts.options.anon: found an unknown key, allowed: none",
    ),
    "option of made-up objects": (
        URL,
        "    url: synthetic://any?count=3\n    options: {{anon: true}}\n",
        "anon",
        "sources.texts.options.anon: found an unknown key, allowed: none",
    ),
    "option of a filesystem": (
        URL,
        "    url: memory://x/*.txt\n    options: {{skip_instance_cache: 1}}\n",
        "skip",
        "sources.texts.options.skip_instance_cache: found an unknown key, allowed: use_listings_cache",
    ),
    "option of a package's source": (
        URL,
        "    url: station://north/*\n    options: {{helo: a}}\n",
        "helo",
        "sources.texts.options.helo: found an unknown key, allowed: hello",
    ),
    "preset": (PRESET, "    preset: loe\n", "loe", "links.leo.preset: found 'loe', allowed: leo"),
    "preset like none": (
        PRESET,
        "    preset:\n      qqqq\n",
        "qqqq",
        "links.leo.preset: found 'qqqq', allowed: fibre, leo, ",
    ),
    "transform": (
        "links:\n",
        "transforms:\n- shuot: {{}}\nlinks:\n",
        "shuot",
        "transforms.0.shuot: found an unknown key, allowed: shout",
    ),
    "transform of a source": (
        FORMAT,
        FORMAT + "    transforms: [{{min_length: 1}}, {{qqqq: {{}}}}]\n",
        "qqqq",
        "sources.texts.transforms.1.qqqq: found an unknown key, allowed: keep, drop,",
    ),
    "option of a transform": (
        "links:\n",
        "transforms:\n- shout: {{tims: 2}}\nlinks:\n",
        "tims",
        "transforms.0.shout.tims: found an unknown key, allowed: times",
    ),
    "column of a transform": (
        "links:\n",
        "transforms:\n- {{min_length: 3, column: txt}}\nlinks:\n",
        "txt",
        "transforms.0.column: found 'txt', allowed: text",
    ),
    "column of a package's transform": (
        "links:\n",
        "transforms:\n- shout: {{column: txt}}\nlinks:\n",
        "txt",
        "transforms.0.shout.column: found 'txt', allowed: text",
    ),
    "column that is the rule": (
        "links:\n",
        "transforms:\n- deduplicate: txt\nlinks:\n",
        "txt",
        "transforms.0.deduplicate: found 'txt', allowed: text",
    ),
    "expression": (
        "links:\n",
        "transforms:\n- keep: lenght(text) > 3\nlinks:\n",
        "lenght",
        "transforms.0.keep: found 'lenght(text) > 3', allowed: columns, numbers,",
    ),
    "schema": (
        "schema: document\n",
        "schema: documents\n",
        "documents",
        "schema: found 'documents', allowed: 'document', 'reading', 'image', 'audio' or 'blob'",
    ),
    "scheme of the dataset": (
        "dataset: {folder}/dataset\n",
        "dataset: gss://bucket/x\n",
        "gss",
        "dataset: found 'gss', allowed: gs",
    ),
}
"""What -> (lines of the job, those in their place, how the value begins that is refused, what is said of it).
The model of the job file refuses the schema; others refuse all else."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    put(folder, "acme-shout", "1", {"shout": "acme_shout:SHOUT"}, group=plugins.TRANSFORMS)
    put(folder, "acme-station", "1", {"station": "acme_station:SOURCE"}, group=plugins.SOURCES)
    (folder / "acme_shout.py").write_text(SHOUT)
    (folder / "acme_station.py").write_text(STATION)
    return folder


def job_with(folder: Path, old: str, new: str) -> Path:
    assert JOB.count(old) == 1
    text = JOB.replace(old, new).format(folder=folder)
    if old != URL:
        write_texts(folder / "remote", {"a.txt": "a text"})
    path = folder / "job.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", ["plan", "run", "estimate"])
@pytest.mark.parametrize("case", CASES)
def test_a_name_that_nobody_has_is_refused_where_it_stands(
    tmp_path: Path, site: Path, case: str, command: str
) -> None:
    old, new, word, said = CASES[case]
    job = job_with(tmp_path, old, new)
    lines = job.read_text().splitlines()
    with on_path(site):
        answer = call(command, job)
    assert answer.code == 2
    (message,) = answer.err.strip().splitlines()
    found = re.search(rf"{re.escape(str(job))}:(\d+):(\d+): (.*)", message)
    assert found is not None, message
    assert found[3].startswith(said), message
    assert lines[int(found[1]) - 1][int(found[2]) - 1 :].startswith(word), message
    assert not (tmp_path / "dataset" / "_skyhaul" / "plan").exists()


@pytest.mark.parametrize("command", ["plan", "plan --extend", "plan --amend", "run", "replay", "estimate"])
@pytest.mark.parametrize("case", ["format", "decode option", "scheme", "transform", "preset"])
def test_a_plan_that_is_there_hides_no_name(tmp_path: Path, site: Path, case: str, command: str) -> None:
    job = job_with(tmp_path, FORMAT, FORMAT)
    assert call("plan", job).code == 0
    old, new, _, said = CASES[case]
    job.write_text(JOB.replace(old, new).format(folder=tmp_path))
    with on_path(site):
        answer = call(*command.split(), job)
    if (case, command) in (("preset", "plan --extend"), ("preset", "plan --amend")):
        assert answer.code == 0  # what is planned does not depend on links
    else:
        assert answer.code == 2
        assert re.search(rf"job\.yaml:\d+:\d+: {re.escape(said)}", answer.err), answer.err


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            FORMAT,
            "    format: ${{ANY}}\n",
            "9:13: sources.texts.format: found the value of ${ANY}, allowed: jsonl,",
        ),
        (
            PRESET,
            "    preset: ${{ANY}}\n",
            "13:13: links.leo.preset: found the value of ${ANY}, allowed: fibre,",
        ),
        (
            URL,
            "    url: ${{ANY}}://x/*.txt\n",
            "8:10: sources.texts.url: found the value of ${ANY}, allowed: a path, or a URL with one of abfs,",
        ),
    ],
)
def test_a_value_of_the_environment_is_not_shown_nor_what_is_near_to_it(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    answer = call("plan", job_with(tmp_path, old, new), env={"ANY": "leoq"})
    assert answer.code == 2
    assert said in answer.err
    assert "leoq" not in answer.err


def test_the_job_that_a_dataset_keeps_is_named_with_its_place(tmp_path: Path) -> None:
    assert call("plan", job_with(tmp_path, FORMAT, FORMAT)).code == 0
    kept = tmp_path / "dataset" / "_skyhaul" / "job.yaml"
    kept.write_text(kept.read_text().replace("preset: leo", "preset: loe"))
    answer = call("links", tmp_path / "dataset")
    assert answer.code == 2
    assert f"{kept}:13:13: links.leo.preset: found 'loe', allowed: leo" in answer.err


def test_verify_and_status_ask_of_a_job_no_more_than_where_its_dataset_is(tmp_path: Path) -> None:
    assert call("plan", job_with(tmp_path, FORMAT, FORMAT)).code == 0
    job = job_with(tmp_path, FORMAT, "    format: txt\n")
    assert call("status", job).code == 75
    assert call("verify", job).code == 75
