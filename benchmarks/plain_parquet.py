"""The plain script for Parquet inputs: pyarrow reads batches, pyarrow writes Parquet."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from plain_documents import documents, start, write


def rows(path: Path) -> Iterator[pa.RecordBatch]:
    number = 0
    for batch in pq.ParquetFile(path).iter_batches(4096, use_threads=False):
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
    for path in sorted(folder.glob("*.parquet")):
        write(out / path.name, rows(path))


if __name__ == "__main__":
    start()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
