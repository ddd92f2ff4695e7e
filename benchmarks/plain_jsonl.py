"""The plain script that the haul is held against: pyarrow reads JSONL, pyarrow writes Parquet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.json as pj
from plain_documents import documents, start, write


def rows(path: Path) -> Iterator[pa.RecordBatch]:
    read = pj.ReadOptions(use_threads=False, block_size=8 << 20)
    number = 0
    for batch in pj.open_json(path, read_options=read):
        offsets = pa.array(range(number, number + batch.num_rows), pa.int64())
        number += batch.num_rows
        columns = {
            "text": batch["body"].cast(pa.large_string()),
            "source_id": batch["id"],
            "url": batch["url"],
            "language": batch["lang"],
        }
        yield documents(columns, offsets, path.name)


def main(folder: Path, out: Path) -> None:
    for path in sorted(folder.glob("*.jsonl")):
        write(out / f"{path.stem}.parquet", rows(path))


if __name__ == "__main__":
    start()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
