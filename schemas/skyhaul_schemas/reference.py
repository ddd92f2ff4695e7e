"""The page docs/schemas.md: every column of every schema, with what it means.

`python -m skyhaul_schemas.reference` prints it, and so does `skyhaul schema --records`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pyarrow as pa

from skyhaul_schemas.arrow_types import NAMES
from skyhaul_schemas.records import BLOB_PART_SIZE, RAW_CAP, REJECTS_SCHEMA, shard_schema
from skyhaul_schemas.units import format_size

SCHEMAS = {
    "document": "Text for training: a line of JSONL or CSV, a row of Parquet, a file, a page of an archive.",
    "reading": "One value of one quantity at one place and time; wide tables are melted as the job says.",
    "image": "Images as bytes, with their caption.",
    "audio": "Audio files as bytes, with their transcript.",
    "blob": f"Objects as they are. One of more than {format_size(BLOB_PART_SIZE)} becomes several rows.",
}
"""Schema: what a row of it is."""

MEANINGS = {
    "id": "`source/object#offset`: unique in the dataset, the same in every haul of the plan.",
    "document.text": "The text. Its encoding at the source was converted to UTF-8.",
    "source_id": "The source's own id of the record.",
    "url": "Where the source says that the record comes from.",
    "language": "The primary subtag of what the source states (`en` of `en-US`, which then stands in "
    "`metadata`), or as `identify_language` found it (`und`: not sure; `language_score` in `metadata` says "
    "how sure).",
    "created": "When the source says that the record was made.",
    "metadata": "What was not mapped to a column: a JSON object with its keys sorted.",
    "station": "What measured: a station, a buoy, a sensor.",
    "time": "When it was measured.",
    "quantity": "What was measured: the source's name for it.",
    "value": "The value, in `unit`; null where the source says that it is missing.",
    "unit": "As the source gives it; nothing is converted.",
    "quality": "The source's flag.",
    "latitude": "Degrees north.",
    "longitude": "Degrees east.",
    "image.bytes": "The image file, byte for byte.",
    "audio.bytes": "The audio file, byte for byte.",
    "channels": "How many, as the header states it.",
    "sample_rate": "Samples a second of each channel, likewise.",
    "duration": "Seconds, likewise; the file is not decoded.",
    "transcript": "From a list, or from a side-car; null where there is none.",
    "format": "png, jpeg, wav, …, as the source states it.",
    "width": "Pixels, as the source states it; images are not decoded.",
    "height": "Pixels, likewise.",
    "caption": "From the source's column or list, or from a side-car; null where there is none.",
    "name": "The last part of the object's path.",
    "blob.bytes": f"This part: at most {format_size(BLOB_PART_SIZE)}.",
    "part": "Its place among the parts, from 0.",
    "parts": "How many there are.",
    "media_type": "By the first bytes, else by the name.",
    "provenance": "Where the row comes from, to the byte.",
    "provenance.source": "The source's name in the job file.",
    "provenance.object": "The object's path below the source's root.",
    "provenance.version": "What tells the object again: ETag, version id, time, digest; empty: its size.",
    "provenance.offset": "The record's first byte in the object, or in what it holds if it is compressed.",
    "provenance.length": "Its bytes there.",
    "rejects.source": "The source's name in the job file.",
    "rejects.object": "The object's path below the source's root.",
    "rejects.offset": "The first byte of what could not be taken.",
    "rejects.length": "Its bytes; the rest of the object, where that was unreadable.",
    "rejects.reason": "Why.",
    "rejects.raw": f"The bytes themselves, at most {format_size(RAW_CAP)} of them.",
}
"""Column, or schema.column where one name means several things: what it holds."""


_OWN = f"""
## A schema of the job's own

```yaml
schema:
  name: preference
  columns: {{prompt: string, chosen: string, rejected: string, score: float32, tags: list<string>,
            turns: "list<struct<role: string, content: string>>", taken: "timestamp[ms, UTC]"}}
  required: [prompt, chosen]
  rest: metadata            # the default; or drop, or reject
```

Formats that name columns fill it: all but `image`, `audio` and `binary`. A column takes the source's column
of the same name, or the one that the source's `fields` says. Beside the columns stand `id` and `provenance`
as above, and `metadata` where `rest` says so; these three names are taken. Names are those of an
expression: letters, digits and `_`. Types are Arrow's: {NAMES}.

Values are taken as [formats.md](formats.md) says ("Values of a schema of the job's own"): nothing is cast
that would change what is said. A record with a value that does not fit is drift (`on_drift`), and its
reason says which column, what was found, and where in a nested value (`turns: column 'turns' holds an
integer, not a string; at /0/content`)."""


def reference() -> str:
    """The whole page, Markdown."""
    return "\n".join(_page()) + "\n"


def _page() -> Iterator[str]:
    yield "# Schemas"
    yield ""
    yield "Made of the program by `make docs`; a test holds it to it. A dataset has one schema, the job's"
    yield "`schema`, in every one of its files. A column that is not `required` may be null."
    yield "The keys of a job file are in [job.md](job.md)."
    for name, meaning in SCHEMAS.items():
        yield from _section(name, meaning, shard_schema(name), name)
    yield from _OWN.splitlines()
    yield from _section(
        "rejects",
        "`_skyhaul/rejects/`: what could not be taken, with the reason.",
        REJECTS_SCHEMA,
        "rejects",
    )


def _section(title: str, meaning: str, schema: pa.Schema, scope: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield meaning
    yield ""
    yield "| column | type | | meaning |"
    yield "| --- | --- | --- | --- |"
    for field in schema:
        yield _row(field, field.name, scope)
        if pa.types.is_struct(field.type):
            for inner in field.type:
                yield _row(inner, f"{field.name}.{inner.name}", scope)


def _row(field: pa.Field, path: str, scope: str) -> str:
    kind = "struct" if pa.types.is_struct(field.type) else str(field.type).replace("double", "float64")
    # A column without a meaning is a KeyError: the page is not made without it.
    meaning = MEANINGS.get(f"{scope}.{path}") or MEANINGS[path]
    return f"| `{path}` | {kind} | {'' if field.nullable else 'required'} | {meaning} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
