"""The plain script for web archives: FastWARC reads, Resiliparse makes the main text, pyarrow writes.

Digests are not compared, truncation is not looked for, pages are trusted not to hang the parser.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from fastwarc.warc import ArchiveIterator, WarcRecordType
from plain_documents import documents, start, write
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

_BATCH = 4 * 1024 * 1024


def rows(path: Path) -> Iterator[pa.RecordBatch]:
    held: list[dict[str, Any]] = []
    size = 0
    with path.open("rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            html = record.reader.read()
            charset = record.http_charset or detect_encoding(html)
            tree = HTMLTree.parse(bytes_to_str(html, charset))
            page = tree.document.query_selector("html")
            metadata = {
                "content_type": record.http_content_type,
                "digest": record.headers.get("WARC-Payload-Digest"),
                "status": record.http_headers.status_code,
                "title": tree.title,
                "type": "response",
            }
            text = extract_plain_text(tree, main_content=True)
            held.append(
                {
                    "text": text,
                    "source_id": record.record_id,
                    "url": record.headers["WARC-Target-URI"],
                    "language": page.getattr("lang") if page is not None else None,
                    "created": record.headers["WARC-Date"],
                    "metadata": json.dumps(metadata, ensure_ascii=False, separators=(",", ":")),
                    "offset": record.stream_pos,
                }
            )
            size += len(text)
            if size >= _BATCH:
                yield _batch(held, path.name)
                held, size = [], 0
    if held:
        yield _batch(held, path.name)


def _batch(held: list[dict[str, Any]], name: str) -> pa.RecordBatch:
    columns: dict[str, pa.Array] = {
        key: pa.array([row[key] for row in held], pa.string())
        for key in ("source_id", "url", "language", "metadata")
    }
    columns["text"] = pa.array([row["text"] for row in held], pa.large_string())
    written = pa.array([row["created"] for row in held])
    times = pc.strptime(written, "%Y-%m-%dT%H:%M:%SZ", "us")
    columns["created"] = times.cast(pa.timestamp("us", "UTC"))
    return documents(columns, pa.array([row["offset"] for row in held], pa.int64()), name)


def main(folder: Path, out: Path) -> None:
    for path in sorted(folder.glob("*.warc.gz")):
        write(out / f"{path.name.partition('.')[0]}.parquet", rows(path))


if __name__ == "__main__":
    start()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
