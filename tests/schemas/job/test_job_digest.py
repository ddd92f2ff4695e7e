"""What of a job is in the plan's digest, what is not, and how differences read."""

from __future__ import annotations

import json

import pytest

from schemas.job.job_texts import FULL, changed
from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.job.digest import digested_part, job_difference
from skyhaul_schemas.job.file import parse_job

PATTERNS = {"stdlib": ["**/*.py"]}


def part_of(text: str, patterns: dict[str, list[str]] | None = None) -> dict[str, object]:
    return digested_part(parse_job(text, "job.yaml", {}).job, patterns or PATTERNS)


DIGESTED = [
    ("seed: 7", "seed: 8", "seed: plan has 7, job says 8"),
    ("schema: document", "schema: blob", "schema: plan has document, job says blob"),
    ("format: text", "format: jsonl", "sources.stdlib.format: plan has text, job says jsonl"),
    ("    format: text", "", "sources.stdlib.format: plan has text, job says nothing"),
    ("fields: {text: body}", "fields: {}", "sources.stdlib.fields.text: plan has body, job says nothing"),
    ("fields: {text: body}", "fields: {text: b}", "sources.stdlib.fields.text: plan has body, job says b"),
    (
        "fields: {text: body}",
        "fields: {text: body}\n    decode: {by: paragraph}",
        "sources.stdlib.decode.by: plan has nothing, job says paragraph",
    ),
    ("    checksums: SHA256SUMS", "", "sources.stdlib.checksums: plan has true, job says false"),
    ("on_damage: reject", "on_damage: fail", "on_damage: plan has reject, job says fail"),
    ("on_damage: reject", "on_drift: fail", "on_drift: plan has reject, job says fail"),
    ("target_size: 256MiB", "target_size: 32MiB", "shards.target_size: plan has 256 MiB, job says 32 MiB"),
    (
        "target_size: 256MiB",
        "target_size: 256MiB\n  chunk_size: 1MB",
        "shards.chunk_size: plan has 64 MiB, job says 1 MB",
    ),
    (
        "target_size: 256MiB",
        "target_size: 256MiB\n  file_size: 1MB",
        "shards.file_size: plan has 500 MB, job says 1 MB",
    ),
    (
        "row_group_size: 64MiB",
        "row_group_size: 32MiB",
        "shards.row_group_size: plan has 64 MiB, job says 32 MiB",
    ),
    ("compression: zstd:3", "compression: zstd:4", "shards.compression: plan has zstd:3, job says zstd:4"),
    (
        "train: 0.99, validation: 0.01",
        "train: 0.5, validation: 0.5",
        "shards.splits.train: plan has 0.99, job says 0.5",
    ),
    ("stdlib:\n    url", "other:\n    url", "sources.stdlib: plan has "),
]


@pytest.mark.parametrize(("old", "new", "line"), DIGESTED, ids=[new.strip() for _, new, _ in DIGESTED])
def test_what_reaches_a_shard_is_a_difference_that_reads_well(old: str, new: str, line: str) -> None:
    a = part_of(FULL)
    b = part_of(changed(FULL, old, new), {"stdlib": ["**/*.py"], "other": ["**/*.py"]})
    assert canonical_json(a) != canonical_json(b)
    assert any(found.startswith(line) for found in job_difference(a, b))


NOT_DIGESTED = [
    ("name: stdlib-over-leo", "name: other"),
    ("dataset: out/stdlib", "dataset: s3://bucket/other"),
    ("spool: .skyhaul/spool", "spool: /mnt/spool\nspool_limit: 1GB"),
    ("url: /usr/lib/python3*/**/*.py", "url: https://mirror.example/python3*/**/*.py"),
    ("checksums: SHA256SUMS", "checksums: other/SHA256SUMS"),
    ("max_connections: 16", "max_connections: 4"),
    ("options: {}", "options: {anon: true}"),
    ("via: [leo-west]", "via: []"),
    ("    preset: leo ", "    preset: geo "),
    ("emulate: true", "emulate: false\n    seed: 5"),
    ("loss: 0.4%", "loss: 2%"),
    ("patience: 10m", "patience: 1m"),
    ("compression: zstd:3", "compression: zstd"),
    ("splits: {train: 0.99, validation: 0.01}", "splits: {validation: 1%, train: 99%}"),
    ("target_size: 256MiB", "target_size: 268435456"),
    ("patience: 10m", "patience: 10m\non_drift: reject"),
]


@pytest.mark.parametrize(("old", "new"), NOT_DIGESTED, ids=[new.strip() for _, new in NOT_DIGESTED])
def test_what_reaches_no_shard_is_no_difference(old: str, new: str) -> None:
    a, b = part_of(FULL), part_of(changed(FULL, old, new))
    assert canonical_json(a) == canonical_json(b)
    assert job_difference(a, b) == []


def test_selected_patterns_are_a_difference() -> None:
    lines = job_difference(part_of(FULL), part_of(FULL, {"stdlib": ["**/*.txt", "*.md"]}))
    assert lines == ["sources.stdlib.selection: plan has **/*.py, job says **/*.txt, *.md"]


def test_a_part_survives_json_unchanged() -> None:
    part = part_of(FULL)
    assert job_difference(json.loads(canonical_json(part)), part) == []


def test_the_order_of_sources_is_no_difference() -> None:
    two = changed(FULL, "links:\n", "  a: {url: x}\nlinks:\n")
    swapped = changed(FULL, "  stdlib:\n", "  a: {url: x}\n  stdlib:\n")
    patterns = {"a": ["x"], **PATTERNS}
    assert canonical_json(part_of(two, patterns)) == canonical_json(part_of(swapped, patterns))
