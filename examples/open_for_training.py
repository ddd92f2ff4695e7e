"""Open a dataset that skyhaul has made, batch by batch, as a training job would.

    python examples/open_for_training.py out/stdlib [--split train] [--batch-size 64]

Needs pyarrow alone. Where Hugging Face `datasets` or PyTorch are installed it opens the same files with
them too, and the counts must agree.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.dataset as ds


def files_of(dataset: Path, split: str) -> list[str]:
    """Shard files of a split, in order: data/0000/train-0000017-000.parquet."""
    return sorted(str(path) for path in (dataset / "data").glob(f"*/{split}-*.parquet"))


def splits_of(dataset: Path) -> list[str]:
    return sorted({path.name.partition("-")[0] for path in (dataset / "data").glob("*/*.parquet")})


def with_pyarrow(files: list[str], batch_size: int) -> tuple[int, int]:
    """Rows, and bytes of text (or of the first binary column), one batch in memory at a time."""
    opened = ds.dataset(files, format="parquet")
    names = opened.schema.names
    body = next((name for name in ("text", "bytes") if name in names), None)
    rows = size = 0
    for batch in opened.to_batches(batch_size=batch_size, columns=[body] if body else None):
        rows += batch.num_rows
        if body:
            size += pc.sum(pc.binary_length(batch.column(0))).as_py() or 0
    return rows, size


def with_hugging_face(files: list[str]) -> int:
    """Rows of the same files as a stream of `datasets`; 0 where it is not installed."""
    from datasets import load_dataset

    stream = load_dataset("parquet", data_files=files, split="train", streaming=True)
    return sum(1 for _ in stream)


def with_torch(files: list[str], batch_size: int) -> int:
    """Rows through a DataLoader over the same files."""
    from torch.utils.data import DataLoader, IterableDataset

    class Rows(IterableDataset):  # type: ignore[type-arg,misc]  # torch ships no strict types
        def __iter__(self) -> Iterator[dict[str, object]]:
            for batch in ds.dataset(files, format="parquet").to_batches(batch_size=batch_size):
                yield from batch.to_pylist()

    return sum(len(rows) for rows in DataLoader(Rows(), batch_size=batch_size, collate_fn=list))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", help="default: all")
    parser.add_argument("--batch-size", type=int, default=256)
    arguments = parser.parse_args()
    splits = [arguments.split] if arguments.split else splits_of(arguments.dataset)
    if not splits:
        parser.error(f"{arguments.dataset} has no shards under data/")
    for split in splits:
        files = files_of(arguments.dataset, split)
        if not files:
            parser.error(
                f"{arguments.dataset} has no split {split!r}; it has: {splits_of(arguments.dataset)}"
            )
        rows, size = with_pyarrow(files, arguments.batch_size)
        print(f"{split}: {rows:,} rows in {len(files)} files, {size:,} bytes of content")
        counts = {"pyarrow": rows}
        if importlib.util.find_spec("datasets"):
            counts["datasets"] = with_hugging_face(files)
        if importlib.util.find_spec("torch"):
            counts["torch"] = with_torch(files, arguments.batch_size)
        if len(set(counts.values())) > 1:
            print(f"{split}: the readers disagree: {counts}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
