"""What a plan says is needed of a table is all that decoding reads of it, and gives the same."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from formats.decoding import settings
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.bytes.parts import merged
from skyhaul_connectors.formats.columnar import decoder as tables
from skyhaul_connectors.formats.columnar.ipc_layout import buffer_counts
from skyhaul_connectors.formats.protocol import Selective
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.plan import Chunk, PinnedObject


class Watched(BytesChunk):
    """Fails a read that leaves the chunk's segments."""

    def __init__(self, raw: bytes, chunk: Chunk, segments: list[tuple[int, int]]) -> None:
        super().__init__(raw, chunk)
        self._segments = segments
        self.outside: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        stop = min(offset + length, self.chunk.object.size)
        if offset < stop and not any(o <= offset and stop <= o + n for o, n in self._segments):
            self.outside.append((offset, length))
        return super().read(offset, length)


def pruned(
    raw: bytes, path: str, columns: list[str], chunk_size: int
) -> tuple[list[Any], int, list[tuple[int, int]]]:
    """The rows of all chunks, bytes of their segments, and reads that left them."""
    decoder = decoder_for(None, settings(options={"columns": columns}, fields={"text": "@path"}), path)
    assert isinstance(decoder, Selective)
    obj = PinnedObject("src", path, len(raw), "")

    def read(offset: int, length: int) -> bytes:
        return raw[offset : offset + length]

    cuts = list(decoder.cut(obj, chunk_size, read))
    rows: list[Any] = []
    hauled = 0
    outside: list[tuple[int, int]] = []
    for (offset, length), needed in zip(cuts, decoder.needed(obj, cuts, read), strict=True):
        parts = None if needed is None else merged(needed, 256, 1)
        chunk = Chunk(0, 0, obj, offset, length, parts)
        segments = decoder.segments(chunk)
        data = Watched(raw, chunk, segments)
        for step in decoder.decode(data):
            rows += step.batch.to_pylist()
            assert not step.damaged, step.rejects
        hauled += sum(n for _, n in segments)
        outside += data.outside
    return rows, hauled, outside


TYPES = pa.table(
    {
        "first": ["x" * 40] * 6000,
        "null": pa.nulls(6000),
        "flags": [True, None] * 3000,
        "nested": [{"a": [1, 2], "b": {"c": "d"}}] * 6000,
        "map": pa.array([[("k", 1)]] * 6000, pa.map_(pa.string(), pa.int64())),
        "fixed": pa.array([[1, 2, 3]] * 6000, pa.list_(pa.int16(), 3)),
        "large": pa.array(["é"] * 6000, pa.large_string()),
        "wanted": list(range(6000)),
        "last": [b"y" * 30] * 6000,
    }
)


def written(kind: str, table: pa.Table) -> bytes:
    out = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table, out, row_group_size=1000, compression="none", use_dictionary=False)
    else:
        options = pa.ipc.IpcWriteOptions(compression="zstd" if kind == "arrow zstd" else None)
        with pa.ipc.new_file(out, table.schema, options=options) as writer:
            writer.write_table(table, 1000)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrow zstd"])
@pytest.mark.parametrize("column", TYPES.column_names)
def test_each_column_alone_is_read_within_its_parts(kind: str, column: str) -> None:
    raw = written(kind, TYPES)
    path = "x." + kind.split()[0]
    for chunk_size in (len(raw), len(raw) // 3):
        rows, hauled, outside = pruned(raw, path, [column], chunk_size)
        assert len(rows) == 6000
        assert len({row["offset"] for row in rows}) == 6000
        assert outside == []
        whole = pruned(raw, path, TYPES.column_names, chunk_size)
        assert [row["offset"] for row in rows] == [row["offset"] for row in whole[0]]
        if kind != "arrow zstd" and column in ("wanted", "flags", "null"):
            assert hauled < 0.4 * len(raw) + 3 * 64 * 1024


@pytest.mark.parametrize("stream", [False, True])
def test_dictionaries_and_streams_stay_whole(stream: bool) -> None:
    table = pa.table({"a": pa.array(["x", "y"] * 9000).dictionary_encode(), "b": ["z" * 20] * 18_000})
    out = io.BytesIO()
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, 1000)
    raw = out.getvalue()
    decoder = decoder_for("arrow", settings(), "x.arrow")
    obj = PinnedObject("src", "x.arrow", len(raw), "")
    assert list(decoder.cut(obj, 1000, lambda at, n: raw[at : at + n])) == [(0, len(raw))]
    for column in ("a", "b"):
        rows, hauled, outside = pruned(raw, "x.arrow", [column], 1000)
        assert (len(rows), outside) == (18_000, [])
        assert (hauled < len(raw)) is not stream
        assert all(f'"{column}":' in row["metadata"] for row in rows)


def test_a_column_that_is_not_there_leaves_no_rows_out() -> None:
    for kind in ("parquet", "arrow"):
        assert len(pruned(written(kind, TYPES), f"x.{kind}", ["none"], 1 << 30)[0]) == 6000


def test_types_whose_buffers_the_schema_leaves_open_are_hauled_whole() -> None:
    assert buffer_counts(pa.schema({"v": pa.string_view()})) is None
    assert buffer_counts(pa.schema({"n": pa.null(), "s": pa.struct({"a": pa.int8()})})) == [0, 3]


def test_every_collected_table_is_read_within_its_parts(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "FOOTER", 0)  # so that small ones are taken apart too
    seen = 0
    for path in sorted((shared_data / "parquet").rglob("*.parquet")):
        raw = path.read_bytes()
        if "bad" in path.parent.name or len(raw) > 300_000:
            continue
        try:
            names = pq.ParquetFile(path).schema_arrow.names
            pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError):
            continue
        if len(set(names)) < len(names):
            continue
        rows, _, outside = pruned(raw, "x.parquet", names[:1], 1 << 30)
        assert outside == [], path
        assert len(rows) == pq.read_metadata(path).num_rows, path
        seen += 1
    assert seen >= 80


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 50)), max_size=40), st.integers(1, 9))
def test_merged_parts_cover_what_was_asked_in_no_more_parts(parts: list[tuple[int, int]], most: int) -> None:
    found = merged(parts, most, 7)
    assert len(found) <= most
    covered = {at for offset, length in found for at in range(offset, offset + length)}
    assert covered >= {at for offset, length in parts for at in range(offset, offset + length)}
    assert all(a[0] + a[1] < b[0] for a, b in pairwise(found))
