"""docs/job.md is what the program says of the job file, and each line of it can be written into one."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from skyhaul.job_reference import Section, default_of, example_of, kind_of, page, sections
from skyhaul_schemas.job.file import parse_job
from skyhaul_schemas.job.model import Job, ListedUrls, OwnSchemaSpec
from skyhaul_schemas.own_schema import OwnSchema

ROOT = Path(__file__).resolve().parents[3]

TOP = {"version": "version: 1", "name": "name: n", "dataset": "dataset: out"}
SOURCES = "sources: {buoys: {url: data}}"
LINKS = "links: {leo-west: {down: 1Mbit/s}}"


def job(section: Section, line: str) -> str:
    """A job file with `line`, a key and its value, where the keys of `section` stand."""
    key = line.partition(":")[0]
    lines = dict(TOP, sources=SOURCES, links=LINKS)
    if section.title == "The top":
        lines[key] = line
    elif section.title == "sources":
        lines["sources"] = "sources:\n  buoys:\n    " + ("" if key == "url" else "url: data\n    ") + line
    elif section.title == "url as a mapping":
        more = "" if key == "list" else ", list: objects.jsonl"
        lines["sources"] = f"sources: {{buoys: {{url: {{{line}{more}}}}}}}"
    elif section.title.startswith("links"):
        lines["links"] = "links:\n  leo-west:\n    " + ("" if key == "down" else "down: 1Mbit/s\n    ") + line
    elif section.title == "schema as a mapping":
        own = {"name": "name: n", "columns": "columns: {prompt: string}", key: line}
        lines["schema"] = "schema:\n  " + "\n  ".join(own.values())
    elif section.title == "transforms":
        rule = "" if key not in ("column", "name") else "    min_length: 1\n"
        lines["transforms"] = f"transforms:\n  - {line}\n{rule}"
    else:
        lines[section.title] = f"{section.title}:\n  {line}"
    return "\n".join(lines.values()) + "\n"


def said(section: Section, job: Job, key: str) -> object:
    """What a job that was read says at `key`."""
    (source,), (link,) = job.sources.values(), job.links.values()
    part: BaseModel = job
    if section.title == "sources":
        part = source
    elif section.title == "url as a mapping":
        assert isinstance(source.url, ListedUrls)
        part = source.url
    elif section.title.startswith("links"):
        part = link
    elif section.title == "schema as a mapping":
        assert isinstance(job.schema_, OwnSchema)
        part = OwnSchemaSpec.model_validate(job.schema_.as_job())
    elif section.title == "transforms":
        part = job.transforms[0]
    elif section.title != "The top":
        part = getattr(job, section.title)
    assert isinstance(part, BaseModel)
    return getattr(part, "schema_" if key == "schema" else key)


EVERY = [(section, key) for section in sections() for key in section.fields]


def test_docs_job_md_is_the_reference_of_today() -> None:
    assert (ROOT / "docs" / "job.md").read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize(("section", "key"), EVERY, ids=lambda value: getattr(value, "title", value))
def test_every_key_has_an_example_that_parses_and_a_default_that_is_its_own(
    section: Section, key: str
) -> None:
    info = section.fields[key]
    assert info.examples, f"{section.title}.{key} has no example"
    loaded = parse_job(job(section, example_of(key, info)), "job.yaml", {}).job
    assert said(section, loaded, key) is not None
    default = default_of(info)
    if default:
        again = parse_job(job(section, f"{key}: {default}"), "job.yaml", {}).job
        assert said(section, again, key) == info.get_default(call_default_factory=True)
    assert kind_of(info).name
    assert len(info.description or "") > 9


def test_every_key_of_the_models_is_on_the_page() -> None:
    from skyhaul_schemas.job.model import LinkSpec

    links = {key for section, key in EVERY if section.title.startswith("links")}
    assert links == set(LinkSpec.model_fields)
    assert len(EVERY) > 80
