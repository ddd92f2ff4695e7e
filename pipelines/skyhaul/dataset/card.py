"""The dataset card: README.md with the YAML header that the Hugging Face Hub and `datasets` read.

Made from the plan and the commit records alone, so that equal datasets have equal cards. It names only
splits that exist, and leaves row counts to the text: `datasets` refuses to load a folder whose counts
differ from those in the header, and a haul that goes on after a card was written changes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import yaml

from skyhaul.dataset.commits.validation import Planned
from skyhaul.dataset.croissant import came_by, write_croissant
from skyhaul.dataset.description import read_description, with_section
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey
from skyhaul_schemas import layout
from skyhaul_schemas.job.model import Job
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import RecordSchema, shard_schema
from skyhaul_schemas.units import format_size

_CATEGORIES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"),
    (10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"),
    (10**11, "10B<n<100B"), (10**12, "100B<n<1T"),
)  # fmt: skip
"""The Hub's `size_categories`: each with the number of rows that is too many for it."""

_OPENING = """```python
from datasets import load_dataset

dataset = load_dataset("path/to/this/folder", split="{split}", streaming=True)
```

"""


def write_card(store: DatasetStore, plan: Planned, seen: Survey, job: Job) -> None:
    """Write or replace README.md, and croissant.json beside it. Raises StorageError."""
    rows = sum(split.rows for split in seen.splits.values())
    described = read_description(store, plan.header.digest, rows)
    store.replace_bytes(layout.CARD, with_section(card(plan, seen, job), described).encode())
    # Both are made anew from plan and commit records by every run, and prove nothing.
    write_croissant(store, plan, seen, job)


def card(plan: Planned, seen: Survey, job: Job) -> str:
    """The card's text."""
    header: dict[str, Any] = {
        "pretty_name": printable(job.about.title or job.name),
        **_licence(job.about.licence),
        "tags": ["skyhaul"],
    }
    rows = sum(split.rows for split in seen.splits.values())
    if seen.splits:
        header["size_categories"] = [next((name for limit, name in _CATEGORIES if rows < limit), "n>1T")]
        header["configs"] = [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"{layout.DATA}/*/{split}-*.parquet"} for split in seen.splits
                ],
            }
        ]
        header["dataset_info"] = {"features": list(_features(job.schema_))}
    text = yaml.safe_dump(header, sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{text}---\n\n{_body(plan, seen, job, rows)}"


def _licence(licence: str | None) -> dict[str, str]:
    """As the Hub writes it: an identifier in lower case, or `other` with a link."""
    if licence is None:
        return {}
    if "://" in licence:
        return {"license": "other", "license_name": "see-link", "license_link": licence}
    return {"license": licence.lower()}


def _about(job: Job) -> str:
    """The paragraphs that the job's `about` gives."""
    about = job.about
    said = (
        ("Licence", about.licence), ("Made by", about.creator), ("Homepage", about.homepage),
        ("Published", about.published), ("To be cited as", about.citation), ("Opt-out", about.opt_out),
    )  # fmt: skip
    lines = "".join(f"- {label}: {printable(value)}\n" for label, value in said if value)
    told = "\n".join(map(printable, about.description.strip().splitlines())) if about.description else ""
    description = f"{told}\n\n" if told else ""
    return description + (f"{lines}\n" if lines else "")


def _features(schema: RecordSchema) -> Iterator[dict[str, Any]]:
    for field in shard_schema(schema):
        # So that `datasets` gives decoded samples; to other readers the column is bytes all the same.
        decoded = schema in ("image", "audio") and field.name == "bytes"
        yield {"name": field.name, "dtype": str(schema)} if decoded else _feature(field)


def _feature(field: pa.Field) -> dict[str, Any]:
    # `datasets` names types as Arrow does, but for double.
    if pa.types.is_struct(field.type):
        return {"name": field.name, "struct": [_feature(inner) for inner in field.type]}
    return {"name": field.name, **_feature_of(field.type)}


def _feature_of(kind: pa.DataType) -> dict[str, Any]:
    """A type without a name, as the items of a list have none."""
    if pa.types.is_list(kind):
        item = kind.value_type
        if pa.types.is_struct(item):
            return {"list": [_feature(inner) for inner in item]}
        found = _feature_of(item)
        return {"list": found.get("dtype", found)}
    if pa.types.is_floating(kind):
        return {"dtype": f"float{kind.bit_width}"}
    return {"dtype": "date32" if pa.types.is_date32(kind) else str(kind)}


def _body(plan: Planned, seen: Survey, job: Job, rows: int) -> str:
    header = plan.header
    splits = "".join(
        _row(name, f"{s.rows:,}", f"{s.files:,}", format_size(s.bytes), format_size(s.raw_bytes))
        for name, s in seen.splits.items()
    )
    sources = "".join(
        _row(name, f"{s.objects:,}", format_size(s.source_bytes), f"{s.committed:,} of {s.shards:,}")
        for name, s in sorted(seen.by_source.items())
    )
    opening = "".join(_OPENING.format(split=split) for split in list(seen.splits)[:1])
    filtered = ", ".join(f"`{printable(rule)}` {count:,}" for rule, count in seen.filtered_by.items())
    passed = ", ".join(f"{printable(reason)} {count:,}" for reason, count in seen.passed_over_by.items())
    nulled = ", ".join(f"{printable(reason)} {count:,}" for reason, count in seen.nulled_by.items())
    truncated = ", ".join(f"{printable(kind)} {count:,}" for kind, count in seen.truncated_by.items())
    return (
        f"# {printable(job.about.title or job.name)}\n\n{_about(job)}"
        f"{rows:,} rows of schema `{job.schema_}` in Parquet, {came_by(header.job)}.\n\n"
        f"| split | rows | files | size | uncompressed |\n| --- | ---: | ---: | ---: | ---: |\n{splits}\n"
        f"| source | objects | source bytes | shards committed |\n| --- | ---: | ---: | ---: |\n{sources}\n"
        f"{opening}"
        f"Records: {seen.records.read:,} read, {seen.records.written:,} written,"
        f" {seen.records.filtered:,} filtered, {seen.records.rejected:,} rejected"
        f" (with their reasons under `{layout.REJECTS}/`), {seen.records.passed_over:,} passed over."
        f" Each row's `provenance` names the object, its version, and the bytes that the row came from.\n\n"
        f"{f'Filtered by rule: {filtered}.' if filtered else ''}"
        f"{chr(10) * 2 if filtered else ''}"
        f"{f'Passed over, for they are no records by their kind: {passed}.' if passed else ''}"
        f"{chr(10) * 2 if passed else ''}"
        f"{f'Fields that are null since their value did not fit: {nulled}.' if nulled else ''}"
        f"{chr(10) * 2 if nulled else ''}"
        f"{f'Truncated images, which their metadata names: {truncated}.' if truncated else ''}"
        f"{chr(10) * 2 if truncated else ''}"
        f"Plan `{header.digest}`. `skyhaul verify` on this folder proves that each planned byte is accounted"
        f" for, and that each file is as it was committed.\n"
    )


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(printable, cells))} |\n"
