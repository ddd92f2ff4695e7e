"""Corpora of web archives and Parquet for benchmarks, made from real text, of any size, the same each time.

Pages are those of ../shared/data where that folder is beside the project (declarations of human rights in
350 languages), else stretches of the standard library's sources as pages.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import random
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from corpus import passages

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pages() -> list[bytes]:
    """HTML pages of some 10 kB."""
    found = sorted(_SHARED.glob("**/*.html"))
    if found:
        return [path.read_bytes() for path in found]
    return [
        (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page {number}</title></head>'
            f"<body><nav><a href='/'>home</a></nav><article><p>{paragraphs}</p></article></body></html>"
        ).encode()
        for number, text in enumerate(passages(12_000))
        for paragraphs in [html.escape(text).replace("\n\n", "</p><p>")]
    ]


def write_warc(folder: Path, total_bytes: int, files: int, seed: int = 11) -> tuple[list[Path], int]:
    """`files` archives of response records, each record a gzip member, as Common Crawl has them. Gives the
    files and their bytes before compression, `total_bytes` in all."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    choice = pages()
    # Compressed once a page and address: the making should not take longer than what is measured.
    packed = [_members(page, number) for number, page in enumerate(choice)]
    written, whole = [], 0
    for index in range(files):
        path = folder / f"part-{index:04d}.warc.gz"
        size = 0
        with path.open("wb") as file:
            while size < total_bytes // files:
                rng.shuffle(packed)
                for member, length in packed:
                    file.write(member)
                    size += length
                    if size >= total_bytes // files:
                        break
        whole += size
        written.append(path)
    return written, whole


def _members(page: bytes, number: int) -> tuple[bytes, int]:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nServer: nginx\r\n\r\n"
    block = http + page
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:{uuid.UUID(int=number)}>\r\n"
        f"WARC-Date: 2024-05-18T01:{number // 60 % 60:02d}:{number % 60:02d}Z\r\n"
        f"Content-Length: {len(block)}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"WARC-Target-URI: https://example.org/{number}\r\n"
        f"WARC-Payload-Digest: {_digest(page)}\r\nWARC-Block-Digest: {_digest(block)}\r\n"
        "WARC-Identified-Payload-Type: text/html\r\n\r\n"
    )
    record = head.encode() + block + b"\r\n\r\n"
    return gzip.compress(record, 6, mtime=0), len(record)


def _digest(data: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode("ascii")


def write_parquet(
    folder: Path, total_bytes: int, files: int, mean_bytes: int, seed: int = 11
) -> tuple[list[Path], int]:
    """`files` Parquet files of the columns id, body, url and lang, in row groups of 32 MB, zstd level 3.
    Gives the files and their bytes as Arrow holds them, about `total_bytes` in all."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    texts = passages(mean_bytes)
    written, whole, number = [], 0, 0
    for index in range(files):
        path = folder / f"part-{index:04d}.parquet"
        size = 0
        writer: pq.ParquetWriter | None = None
        while size < total_bytes // files:
            rng.shuffle(texts)
            table = pa.table(
                {
                    "id": [f"doc-{number + i:09d}" for i in range(len(texts))],
                    "body": texts,
                    "url": [f"https://example.org/{number + i}" for i in range(len(texts))],
                    "lang": ["en"] * len(texts),
                }
            )
            number += len(texts)
            table = table.slice(0, max(1, (total_bytes // files - size) * len(texts) // table.nbytes))
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd", compression_level=3)
            writer.write_table(table)
            size += table.nbytes
        if writer is not None:
            writer.close()
        whole += size
        written.append(path)
    return written, whole
