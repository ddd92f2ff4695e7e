"""Row groups are cut by the rows alone; held against a slow and obvious reference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from shards.made import cut, documents
from skyhaul.shards.assembler import Assembler
from skyhaul.shards.row_buffer import RowBuffer
from skyhaul.shards.row_bytes import row_bytes


def reference(sizes: list[int], limit: int) -> list[list[int]]:
    """Row numbers of each group: one row after the other."""
    groups: list[list[int]] = []
    room = -1
    for row, size in enumerate(sizes):
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(row)
        room -= size
    return groups


@given(
    sizes=st.lists(st.integers(0, 50), max_size=60),
    limit=st.integers(1, 100),
    borders=st.lists(st.integers(0, 60), max_size=6),
)
def test_groups_are_those_of_the_reference(sizes: list[int], limit: int, borders: list[int]) -> None:
    batch = pa.record_batch({"row": pa.array(range(len(sizes)), pa.int64())})
    groups: list[list[int]] = []
    totals: list[int] = []

    def emit(group: pa.RecordBatch, size: int) -> None:
        groups.append(group["row"].to_pylist())
        totals.append(size)

    assembler = Assembler(batch.schema, limit, emit)
    for piece in cut(batch, borders):
        rows = piece["row"].to_numpy()
        assembler.add(piece, np.array([sizes[row] for row in rows], dtype=np.int64))
    assembler.flush()
    assert groups == reference(sizes, limit)
    assert totals == [sum(sizes[row] for row in group) for group in groups]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20), st.integers(0, 19))
def test_a_row_weighs_the_same_in_any_batch(texts: list[str], border: int) -> None:
    rows = documents(texts)
    whole = row_bytes(rows)
    pieces = np.concatenate([row_bytes(piece) for piece in cut(rows, [border])])
    assert whole.tolist() == pieces.tolist()
    assert [int(w) - int(whole[0]) for w in whole] == [
        len(text.encode()) - len(texts[0].encode()) for text in texts
    ]


KINDS = pa.schema(
    [
        ("int32", pa.int32()),
        ("float64", pa.float64()),
        ("time", pa.timestamp("us", "UTC")),
        ("text", pa.string()),
        ("large", pa.large_string()),
        ("bytes", pa.binary()),
        ("blob", pa.large_binary()),
        ("both", pa.struct([pa.field("a", pa.int64()), pa.field("b", pa.string())])),
    ]
)
BOTH = st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": st.text(max_size=3)})
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "int32": st.none() | st.integers(-9, 9),
            "float64": st.none() | st.floats(-1, 1),
            "time": st.none() | st.datetimes(),
            "text": st.none() | st.text(max_size=5),
            "large": st.none() | st.text(max_size=5),
            "bytes": st.none() | st.binary(max_size=5),
            "blob": st.none() | st.binary(max_size=5),
            "both": st.none()
            | st.fixed_dictionaries({"a": st.none() | st.integers(0, 9), "b": st.text(max_size=3)}),
        }
    ),
    max_size=25,
)


@given(
    st.lists(st.tuples(ROWS, st.integers(0, 25), st.integers(0, 25)), min_size=1, max_size=4),
    st.integers(1, 3),
)
def test_gathered_pieces_are_the_batch_that_arrow_would_concatenate(
    pieces: list[tuple[list[dict[str, object]], int, int]], rounds: int
) -> None:
    buffer = RowBuffer(KINDS)
    for _ in range(rounds):
        batches = [
            pa.RecordBatch.from_pylist(rows, schema=KINDS).slice(start, length)
            for rows, start, length in pieces
        ]
        for batch in batches:
            buffer.append(batch)
        whole = buffer.take()
        whole.validate(full=True)
        assert buffer.rows == whole.num_rows
        assert whole.to_pylist() == pa.concat_batches(batches).to_pylist()
        del whole
        buffer.clear()


def test_nulls_and_structs_have_their_weight() -> None:
    batch = pa.record_batch(
        {
            "number": pa.array([1, None], pa.int32()),
            "text": pa.array(["abc", None]),
            "both": pa.array(
                [{"a": 1.0, "b": b"xy"}, None], pa.struct([("a", pa.float64()), ("b", pa.binary())])
            ),
        }
    )
    assert row_bytes(batch).tolist() == [4 + (3 + 4) + 8 + (2 + 4), 4 + 4 + 8 + 4]
