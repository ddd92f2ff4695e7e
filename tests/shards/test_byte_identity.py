"""Equal rows give equal bytes, however the decoder cut them into batches."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import skyhaul.shards.shard_rows as shard_rows
from shards.made import MadeRecipe, Script, cut, documents, encode, steps
from skyhaul.dataset.storage.opening import open_store
from skyhaul_connectors.formats.protocol import Reject
from skyhaul_schemas.commit import CommitRecord

TEXTS = st.lists(st.text(max_size=60), min_size=1, max_size=120)
LIMITS = st.sampled_from([1, 300, 1000, 5000])


def committed(recipe: MadeRecipe, objects: dict[str, bytes]) -> CommitRecord:
    """In memory: a disk would be synced for each of hundreds of shards."""
    memory = fsspec.filesystem("memory")
    try:
        store = open_store("memory://identity", writable=True)
        return encode(Path("identity"), recipe, objects, store=store)
    finally:
        memory.rm("/identity", recursive=True)


@settings(max_examples=60, deadline=None)
@given(
    texts=TEXTS,
    borders=st.lists(st.integers(0, 200), max_size=12),
    row_group_size=LIMITS,
    file_size=LIMITS,
    train=st.sampled_from([1.0, 0.5, 0.9]),
    language=st.sampled_from([None, "en", ""]),
)
def test_batch_borders_do_not_reach_the_files(
    texts: list[str],
    borders: list[int],
    row_group_size: int,
    file_size: int,
    train: float,
    language: str | None,
) -> None:
    rows = documents(texts, languages=[language] * len(texts))
    splits = {"train": train, **({"validation": 1 - train} if train < 1 else {})}
    rejects = [Reject(offset, 1, "bad", b"x" * offset) for offset in range(len(borders))]
    records = [
        committed(
            MadeRecipe(
                Script({"a": steps(batches, rejects)}),
                row_group_size=row_group_size,
                file_size=file_size,
                splits=splits,
            ),
            {"a": b"bytes"},
        )
        for batches in ([rows], cut(rows, borders), cut(rows, range(rows.num_rows)))
    ]
    assert records[0].files == records[1].files == records[2].files
    assert records[0].rejects == records[1].rejects == records[2].rejects
    assert sum(file.rows for file in records[0].files) == len(texts)


@settings(max_examples=6, deadline=None)
@given(borders=st.lists(st.integers(0, 30_000), min_size=1, max_size=40))
def test_batch_borders_do_not_reach_the_pages(borders: list[int]) -> None:
    """Many pages, and a column whose dictionary is given up: left alone, Arrow does that by its batches."""
    count = 30_000
    rows = documents(
        [f"{n} " * (n % 7) for n in range(count)], metadata=[f'{{"n":"{n:060d}"}}' for n in range(count)]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_rows, "_STAGE_BYTES", 1)  # each batch reaches the assembler alone
        records = [
            committed(MadeRecipe(Script({"a": steps(batches)}), row_group_size=1 << 24), {"a": b"bytes"})
            for batches in ([rows], cut(rows, borders))
        ]
    assert records[0].files == records[1].files


def test_rows_of_many_objects_give_the_same_bytes_one_by_one_and_staged_together(tmp_path: Path) -> None:
    objects = {f"o{n}": b"." * n for n in range(2500)}
    whole = {name: steps([documents([f"{name} " * 9])]) for name in objects}
    padded = {name: steps(cut(documents([f"{name} " * 9]), [0]) + [documents([])] * 2) for name in objects}
    recipes = [MadeRecipe(Script(made), row_group_size=4000) for made in (whole, padded)]
    first, second = (encode(tmp_path / str(i), recipe, objects) for i, recipe in enumerate(recipes))
    assert first.files == second.files
    table = pq.read_table(tmp_path / "0" / first.files[0].path)
    assert table["id"].to_pylist()[:2] == ["src/o0#0", "src/o1#0"]
    assert table.num_rows == 2500


def test_the_order_in_which_splits_are_written_down_does_not_reach_the_files(tmp_path: Path) -> None:
    rows = documents([f"text {n}" for n in range(500)])
    records = [
        encode(tmp_path / str(i), MadeRecipe(Script({"a": steps([rows])}), splits=splits), {"a": b""})
        for i, splits in enumerate(({"train": 0.7, "test": 0.3}, {"test": 0.3, "train": 0.7}))
    ]
    assert records[0].files == records[1].files
    assert {file.path.split("/")[-1].split("-")[0] for file in records[0].files} == {"train", "test"}
