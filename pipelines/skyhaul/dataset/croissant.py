"""croissant.json: the dataset in MLCommons' Croissant 1.1, with the sha256 of every data file.

Made from the plan, the job's `about` and the commit records, file by file in the order of shards, so that
equal datasets have equal descriptions (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from skyhaul.dataset.commits.valid_commits import valid_commits
from skyhaul.dataset.commits.validation import Planned
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey
from skyhaul_schemas import layout
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.plan import DERIVED
from skyhaul_schemas.printable import json_printable, printable
from skyhaul_schemas.records import RecordSchema, shard_schema

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_MEDIA = {"image": "sc:ImageObject", "audio": "sc:AudioObject"}
"""Schema -> what Croissant calls its bytes; it has no type for bytes of any kind."""

PARQUET = "application/x-parquet"
"""The media type of Parquet as mlcroissant reads it."""

_CROISSANT_TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty",
    "fileObject", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
    "separator", "source", "subField", "transform",
)  # fmt: skip

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "sc": "https://schema.org/",
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}
"""The specification's recommended context."""

_IN_MEMORY = 32 * 1024 * 1024
"""Bytes; a longer description is put together on disk, for it names every file of the dataset.
Chosen, not measured."""


LISTED_EARLY = 10_000
"""Files; a dataset with more is described once it is finished, for each haul on its way there would else read
the records of all that were before it."""


def write_croissant(store: DatasetStore, plan: Planned, seen: Survey, job: Job) -> None:
    """Write or replace croissant.json. Raises StorageError."""
    if seen.shards_left and sum(split.files for split in seen.splits.values()) > LISTED_EARLY:
        return
    # One iterator for both ways: what was put together in memory is not made twice.
    pieces = _pieces(store, plan, seen, job)
    head = bytearray()
    for piece in pieces:
        head += piece.encode()
        if len(head) > _IN_MEMORY:
            break
    else:
        store.replace_bytes(layout.CROISSANT, bytes(head))
        return
    file = store.files.create(store.temp_path(".json"))
    try:
        file.write(head)
        for piece in pieces:
            file.write(piece.encode())
        file.finish(sync=True)
        # What stood there is no loss: it is made anew from the same records.
        aside = f"{layout.SET_ASIDE}/{layout.CROISSANT}.{uuid.uuid4().hex}"
        store.replace_file(file.path, layout.CROISSANT, file.sha256, aside)
        store.remove(aside)
    except BaseException:
        file.discard()
        raise


def _pieces(store: DatasetStore, plan: Planned, seen: Survey, job: Job) -> Iterator[str]:
    """The text, a line for each file."""
    head = json_printable(json.dumps(_head(plan, seen, job), indent=1, ensure_ascii=False))
    yield f'{head.removesuffix("}").rstrip()},\n "distribution": ['
    comma = "\n"
    for split in seen.splits:
        yield f"{comma}  {_line(_file_set(split))}"
        comma = ",\n"
    for record in valid_commits(plan, store):
        for file in record.files:
            yield f"{comma}  {_line(_file_object(file.path, file.bytes, file.sha256))}"
            comma = ",\n"
    sets = [_record_set(split, job.schema_) for split in seen.splits]
    yield f'\n ],\n "recordSet": {json_printable(json.dumps(sets, indent=1, ensure_ascii=False))}\n}}\n'


def _line(value: dict[str, Any]) -> str:
    return json_printable(json.dumps(value, ensure_ascii=False))


def _head(plan: Planned, seen: Survey, job: Job) -> dict[str, Any]:
    about = job.about
    rows = sum(split.rows for split in seen.splits.values())
    said = {
        "license": _licence_url(about.licence),
        "url": about.homepage,
        "creator": {"@type": "Organization", "name": about.creator} if about.creator else None,
        "datePublished": about.published,
        "citeAs": about.citation,
        "usageInfo": about.opt_out if about.opt_out and "://" in about.opt_out else None,
        "conditionsOfAccess": f"Opt-out: {about.opt_out}" if about.opt_out else None,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": about.title or job.name,
        "description": about.description
        or f"{rows:,} rows of schema {job.schema_}, {came_by(plan.header.job, job.sources)}.",
        # The specification wants a semantic version. What tells two states apart is the identifier.
        "version": "1.0.0",
        "identifier": f"skyhaul-plan:{plan.header.digest}",
        "keywords": ["skyhaul"],
        **{key: value for key, value in said.items() if value is not None},
    }


def came_by(part: Mapping[str, Any], sources: Iterable[str] = ()) -> str:
    """How the rows came into the dataset, as a clause.

    Args:
        part: The job's part of the plan's header.
        sources: Those to name of a dataset that was hauled."""
    derived = part.get(DERIVED)
    if derived is None:
        named = ", ".join(sorted(sources))
        return "hauled by skyhaul" + (f" from {named}" if named else "")
    made = {"compact": "put together", "reshard": f"shuffled by seed {derived['seed']}"}
    how = made.get(derived["kind"]) or f"written by {derived['made_by'] or 'a pipeline'}"
    inputs = ", ".join(f"{each['name']} (plan {each['plan'][:16]})" for each in derived["inputs"])
    left_out = sum(derived["dropped"].values())
    told = f" with {derived['rows']:,} rows" + (f", {left_out:,} of them left out" if left_out else "")
    return printable(f"{how} by skyhaul" + (f" from {inputs}{told}" if inputs else ""))


def _licence_url(licence: str | None) -> str | None:
    if licence is None or "://" in licence:
        return licence
    return f"https://spdx.org/licenses/{licence}.html"


def _file_set(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"files-{split}",
        "name": f"files-{split}",
        "description": f"All files of split {split}; each is listed below with its digest.",
        "encodingFormat": PARQUET,
        "includes": f"{layout.DATA}/*/{split}-*.parquet",
    }


def _file_object(path: str, size: int, sha256: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path.rpartition("/")[2],
        "contentUrl": path,
        "contentSize": f"{size} B",
        "encodingFormat": PARQUET,
        "sha256": sha256,
    }


def _record_set(split: str, schema: RecordSchema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"The rows of split {split}.",
        "key": {"@id": f"{split}/id"},
        "field": [
            _field(split, field, schema)
            for field in shard_schema(schema)
            if schema in _MEDIA or not _is_bytes(field.type)
        ],
    }


def _field(split: str, field: pa.Field, schema: RecordSchema) -> dict[str, Any]:
    source = {"fileSet": {"@id": f"files-{split}"}, "extract": {"column": field.name}}
    found = _described(f"{split}/{field.name}", field.type, source, "$")
    return {**found, "dataType": _MEDIA[str(schema)]} if _is_bytes(field.type) else found


def _described(name: str, kind: pa.DataType, source: dict[str, Any], path: str) -> dict[str, Any]:
    """The field called `name`; what lies below it is reached by JSON paths that go on from `path`."""
    own: dict[str, Any] = {"@type": "cr:Field", "@id": name, "name": name}
    if pa.types.is_list(kind):
        own |= {"isArray": True, "arrayShape": "-1"}
        kind, path = kind.value_type, f"{path}[*]"
        # The format has arrays of numbers and of structs, and none of arrays: those are JSON to it.
        if pa.types.is_list(kind):
            return {**own, "dataType": "sc:Text", "source": source}
    if not pa.types.is_struct(kind):
        return {**own, "dataType": _data_type(kind), "source": source}
    return {
        **own,
        "subField": [
            _described(
                f"{name}/{inner.name}",
                inner.type,
                {**source, "transform": {"jsonPath": f"{path}.{inner.name}"}},
                f"{path}.{inner.name}",
            )
            for inner in kind
            if not _is_bytes(inner.type)
        ],
    }


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "sc:DateTime"
    if pa.types.is_date(kind):
        return "sc:Date"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    if pa.types.is_floating(kind):
        return f"cr:Float{kind.bit_width}"
    if pa.types.is_integer(kind):
        return f"cr:{'U' if pa.types.is_unsigned_integer(kind) else ''}Int{kind.bit_width}"
    return "sc:Text"
