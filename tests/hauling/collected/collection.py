"""The collection of real files as sources of hauls: which format each is of, and what came of it."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as ds
import yaml

from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.store import DatasetStore


@dataclass(frozen=True, slots=True)
class Group:
    """Files whose path matches `files`, first match counts."""

    name: str
    schema: str
    format: str
    files: str
    fields: Mapping[str, str] = field(default_factory=dict)
    decode: Mapping[str, Any] = field(default_factory=dict)


_PATH = {"text": "@path"}
"""Tables of all sorts have no text of their own; their rows still have to be read."""

_IMAGES = r"^images/(?!.*\.jsonl)|sensor/(?!.*aux).*\.tif$|good-1-delta-lzma2.tiff.xz"
_PARQUET = r"\.parquet(\.encrypted)?$|parquet-(arrow|encoding)-fuzz|/parquet/fuzzing/|dictbitwidth"
_ARROW = r"\.(arrow_file|stream|arrow)$|arrow-ipc-(file|stream)-fuzz|arrow-ipc-(file|stream)/"
_TEXT = r"\.(txt|md|bz2|dat|index|xml|R|cdl|yaml)$|/\.gitattributes$|^text/"
_PACKED = r"^malformed/(bzip2|xz-tests|zstd-golden)/|paths.gz$|dict.dz$"

GROUPS = (
    Group("images", "image", "image", _IMAGES),
    Group("jsonl", "document", "jsonl", r"\.jsonl(\.gz|\.zst)?$|dolma/.*json.gz$", _PATH),
    Group("json", "document", "json", r"\.(geo)?json(\.gz)?$", _PATH),
    Group("csv", "document", "csv", r"\.csv$|arrow-csv-fuzz", _PATH),
    Group("tsv", "document", "tsv", r"\.tsv$", _PATH),
    Group("parquet", "document", "parquet", _PARQUET, _PATH),
    Group("arrow", "document", "arrow", _ARROW, _PATH),
    Group("html", "document", "html", r"^text/udhr/.*\.html$"),
    Group("warc", "document", "warc", r"^webarchive/(?!.*paths.gz)"),
    Group("tar", "blob", "tar", r"\.tar(\.gz|\.bz2|\.xz|\.zst)?$|\.tgz$"),
    Group("packed", "document", "text", _PACKED, decode={"encoding": "latin-1"}),
    Group("text", "document", "text", _TEXT),
    Group("binary", "blob", "binary", r""),
)


@dataclass(frozen=True, slots=True)
class Difference:
    """What comes of a file, otherwise than by a reader that has read it, or than by all that refuse it.
    passed: how many are passed over. reason: how the first reject's begins."""

    rows: int
    rejects: int
    damaged: bool
    passed: int
    reason: str
    why: str


def differences() -> dict[str, Difference]:
    """By path, explained one by one."""
    with Path(__file__).with_name("collection_differences.tsv").open() as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    return {
        path: Difference(int(kept), int(rejects), damaged == "damaged", int(passed), reason, why)
        for path, kept, rejects, damaged, passed, reason, why in rows
    }


def collected(folder: Path) -> list[str]:
    """The paths of the collection's files; documentation left out."""
    with (folder / "SOURCES.tsv").open() as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if len(row) >= 7]
    return [row[0] for row in rows[1:] if row[6] != "doc" and (folder / row[0]).is_file()]


def grouped(paths: Iterable[str]) -> dict[str, list[str]]:
    """Group -> paths."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        group = next(group for group in GROUPS if re.search(group.files, path))
        found[group.name].append(path)
    return found


@dataclass(slots=True)
class Came:
    """What a haul made of each object: rows and rejects by path, reasons, what is damaged."""

    rows: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    reasons: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    damaged: set[str] = field(default_factory=set)
    read: int = 0
    written: int = 0
    filtered: int = 0
    rejected: int = 0
    passed_over: int = 0
    slowest: float = 0.0


def what_came(store: DatasetStore, folder: Path) -> Came:
    came = Came()
    if (folder / "data").exists():
        place = {"object": pc.struct_field(pc.field("provenance"), "object")}
        table = ds.dataset(folder / "data").to_table(columns=place)
        came.rows.update(table["object"].to_pylist())
    if (folder / "_skyhaul" / "rejects").exists():
        table = ds.dataset(folder / "_skyhaul" / "rejects").to_table(columns=["object", "reason"])
        for row in table.to_pylist():
            came.rejects[row["object"]] += 1
            came.reasons[row["object"]].append(row["reason"])
    for record in commits(store):
        came.read += record.records.read
        came.written += record.records.written
        came.filtered += record.records.filtered
        came.rejected += record.records.rejected
        came.passed_over += record.records.passed_over
        came.damaged |= {source.object for source in record.sources if source.damaged}
        took = datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)
        came.slowest = max(came.slowest, took.total_seconds())
    return came


def write_job(folder: Path, root: Path, url: str, schema: str, files: Mapping[str, list[str]]) -> Path:
    """A job over the groups of `schema`, whose objects are listed as `skyhaul index` lists them."""
    sources: dict[str, Any] = {}
    for group in GROUPS:
        if group.schema != schema:
            continue
        lines = []
        for path in files[group.name]:
            raw = (root / path).read_bytes()
            entry = {"path": path, "size": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
            lines.append(json.dumps(entry) + "\n")
        listed = folder / f"{group.name}.jsonl"
        listed.write_text("".join(lines))
        sources[group.name] = {
            "url": {"list": str(listed), "root": url},
            "format": group.format,
            "fields": dict(group.fields),
            "decode": dict(group.decode),
        }
    job = {
        "version": 1,
        "name": schema,
        "dataset": str(folder / "out"),
        "spool": str(folder / "spool"),
        "schema": schema,
        "sources": sources,
        "shards": {"target_size": "256KiB"},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path
