"""datatrove's readers to its Parquet writer, one task, in this process: the peer of bench_formats.py.

    python benchmarks/datatrove_pipeline.py jsonl|warc|warc-own|parquet FOLDER OUT

Web archives: its reader gives pages as HTML. With `warc` Resiliparse makes their main text in a step of the
pipeline, as in the haul; with `warc-own` its own extractor does, Trafilatura in a child process, which leaves
out pages in which it finds no text. Its writer does not say the codec's level, so the level is set below it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.readers import JsonlReader, ParquetReader, WarcReader
from datatrove.pipeline.writers import ParquetWriter
from plain_documents import LEVEL
from resiliparse.extract.html2text import extract_plain_text


def main_text(data: Iterator[Any], rank: int = 0, world_size: int = 1) -> Iterator[Any]:
    """A step of the pipeline."""
    for document in data:
        document.text = extract_plain_text(document.text, main_content=True)
        yield document


def main(kind: str, folder: str, out: str) -> None:
    pq.ParquetWriter = functools.partial(pq.ParquetWriter, compression_level=LEVEL, write_page_checksum=True)
    steps: list[Any]
    if kind == "jsonl":
        steps = [JsonlReader(folder, text_key="body")]
    elif kind == "parquet":
        steps = [ParquetReader(folder, text_key="body", glob_pattern="*.parquet")]
    else:
        extractor = Trafilatura(timeout=60) if kind == "warc-own" else main_text
        steps = [WarcReader(folder, glob_pattern="*.warc.gz"), extractor]
    steps.append(ParquetWriter(out, compression="zstd", expand_metadata=True))
    LocalPipelineExecutor(steps, logging_dir=f"{out}-logs", skip_completed=False).run()


if __name__ == "__main__":
    pa.set_cpu_count(1)
    main(*sys.argv[1:])
