"""A program's own code between decoding and writing: what it is given, and what it may give back."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import skyhaul.shards.foreign_code.map_records as module
import skyhaul.shards.shard_rows as shard_rows
from shards.made import MadeRecipe, Script, cut, documents, encode, steps
from skyhaul.shards.foreign_code.map_records import CanonicalBatches, MapRecords
from skyhaul.testing.transforms import rows
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import TransformFailed, UsageError

Edit = Callable[[pa.RecordBatch], pa.RecordBatch]


def named(edit: Edit) -> Edit:
    """The function, found in this module by a name: others are refused."""
    edit.__qualname__ = f"edit_{id(edit)}"
    edit.__module__ = __name__
    globals()[edit.__qualname__] = edit
    return edit


def replaced(batch: pa.RecordBatch, column: str, values: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(column)
    return batch.set_column(index, batch.schema.field(index), values)


def tell_batch(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Each row says how many came with it: whoever cuts otherwise gets other rows. The first one goes."""
    told = pa.array([f"{place} of {batch.num_rows}" for place in range(batch.num_rows)], pa.string())
    return replaced(batch, "metadata", told).slice(1)


def lengths_given(texts: Sequence[str], borders: Sequence[int]) -> list[int]:
    given: list[int] = []

    def note(batch: pa.RecordBatch) -> pa.RecordBatch:
        given.append(batch.num_rows)
        return batch

    batches = CanonicalBatches(MapRecords(named(note), "note", 1), lambda batch: None, {})
    whole = rows(text=texts)
    for start, stop in pairwise([0, *borders, len(texts)]):
        batches.add(whole.slice(start, stop - start))
    batches.finish()
    return given


def test_batches_are_cut_by_the_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert lengths_given(["x"] * 2500, []) == [1024, 1024, 452]
    assert lengths_given(["x"] * 2500, [1, 2, 1023, 1025, 2400]) == [1024, 1024, 452]
    monkeypatch.setattr(module, "MOST_BYTES", 500)
    # A large row ends the batch before it, and has one of its own.
    texts = ["small", "small", "large" * 200, "small"]
    assert lengths_given(texts, []) == lengths_given(texts, [1, 2, 3]) == [2, 1, 1]


@pytest.mark.parametrize("splits", [{"train": 1.0}, {"a": 0.4, "b": 0.6}])
def test_the_files_are_the_same_however_rows_are_decoded_and_staged(
    splits: dict[str, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = documents([f"text {n}" for n in range(2600)])
    objects = {"a": b"1", "b": b"2"}

    def encoded(name: str, borders: Sequence[int]) -> CommitRecord:
        script = Script({path: steps(cut(decoded, borders)) for path in objects})
        mapping = MapRecords(tell_batch, "first-goes", 1)
        recipe = MadeRecipe(script, splits=splits, row_group_size=40_000, map_records=mapping)
        return encode(tmp_path / name, recipe, objects)

    once = encoded("once", [])
    monkeypatch.setattr(shard_rows, "_STAGE_BATCHES", 1)
    often = encoded("often", [1, 7, 500, 1024, 1025, 2000])
    assert [file.sha256 for file in often.files] == [file.sha256 for file in once.files]
    assert often.filtered_by == once.filtered_by == {"first-goes": 6}
    assert (once.records.read, once.records.written, once.records.filtered) == (5200, 5194, 6)
    written = pq.read_table(tmp_path / "once" / "data").sort_by("id")
    assert set(written["metadata"].to_pylist()) >= {"1 of 1024", "1 of 80"}


def test_the_split_of_a_row_does_not_depend_on_the_function(tmp_path: Path) -> None:
    decoded = documents([f"text {n}" for n in range(300)])
    ids = []
    for name, mapping in (("plain", None), ("mapped", MapRecords(named(lambda batch: batch), "same", 1))):
        recipe = MadeRecipe(Script({"a": steps([decoded])}), splits={"a": 0.3, "b": 0.7}, map_records=mapping)
        record = encode(tmp_path / name, recipe, {"a": b"1"})
        ids.append([pq.read_table(tmp_path / name / file.path)["id"].to_pylist() for file in record.files])
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


BATCH = rows(text=["a", "b", "c"], language=["en", None, "de"])


def test_it_may_change_columns_and_leave_rows_out() -> None:
    shout: Edit = lambda batch: replaced(batch, "text", pc.utf8_upper(batch["text"])).take([0, 2])  # noqa: E731
    assert MapRecords(named(shout), "shout", 1)(BATCH)["text"].to_pylist() == ["A", "C"]
    assert MapRecords(named(lambda batch: batch.slice(0, 0)), "none", 1)(BATCH).num_rows == 0


BROKEN: list[tuple[Edit, str]] = [
    (lambda b: 1 / 0, "ZeroDivisionError: division by zero"),  # type: ignore[arg-type,return-value]
    (lambda b: None, "it gave a NoneType, not a RecordBatch"),  # type: ignore[arg-type,return-value]
    (lambda b: pa.table(b), "it gave a Table, not a RecordBatch"),
    (lambda b: b.drop_columns(["text"]), "it changed the columns: id, source_id"),
    (
        lambda b: b.set_column(1, pa.field("text", pa.string(), nullable=False), b["text"].cast(pa.string())),
        "it changed the columns: text of string, never null in the place of text of large_string, never null",
    ),
    (lambda b: pa.concat_batches([b, b]), "it added rows: 3 in, 6 out"),
    (lambda b: replaced(b, "id", pa.array(["x", "y", "z"])), "it changed ids, or made up rows"),
    (lambda b: replaced(b, "id", b["id"].take([1, 0, 2])), "it gave rows twice, or in another order"),
    (lambda b: b.take([0, 0]), "it gave rows twice"),
    (lambda b: b.take([2, 0]), "it gave rows twice, or in another order"),
    (lambda b: replaced(b, "provenance", moved(b)), "it changed the column provenance"),
    (lambda b: replaced(b, "text", pa.nulls(3, pa.large_string())), "it gave nulls in the column text"),
    (
        lambda b: replaced(b, "text", pa.Array.from_buffers(pa.large_string(), 3, bad_text())),
        "it gave a batch that is none: .*UTF8",
    ),
]


def moved(batch: pa.RecordBatch) -> pa.Array:
    place = {"source": "s", "object": "another", "version": "", "offset": 0, "length": 1}
    return pa.array([place] * batch.num_rows, batch.schema.field("provenance").type)


def bad_text() -> list[pa.Buffer | None]:
    offsets = pa.array([0, 1, 2, 3], pa.int64()).buffers()[1]
    return [None, offsets, pa.py_buffer(b"a\xffb")]


@pytest.mark.parametrize(("fn", "said"), BROKEN)
def test_what_it_must_not_do_is_told_in_one_line_with_its_name(fn: Edit, said: str) -> None:
    with pytest.raises(TransformFailed, match=said) as caught:
        MapRecords(named(fn), "mine", 1)(BATCH)
    assert str(caught.value).startswith("map_records 'mine': ")
    assert str(caught.value).isprintable()
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("fn", "name", "version", "said"),
    [
        ("no function", "a", 1, "map_records: found a str, allowed: a function"),
        (partial(tell_batch), "a", 1, "map_records: found a partial, allowed: a function that is defined"),
        (
            lambda batch: batch,
            "a",
            1,
            "found <lambda>, allowed: a function that is defined at the top of a module",
        ),
        (str, "", 1, "map_records: name: found '', allowed: 1 to 64 letters"),
        (str, "a/b", 1, "map_records: name: found 'a/b'"),
        (str, "a", "", "map_records: version: found '', allowed: 1 to 64 characters"),
        (str, "a", "1\n2", "map_records: version: found"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused(fn: object, name: str, version: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        MapRecords(fn, name, version)  # type: ignore[arg-type]
    assert str(caught.value).isprintable()


def test_it_travels_as_a_reference_and_never_as_code() -> None:
    mapping = MapRecords(tell_batch, "tells", "2 of 3")
    assert mapping.reference == f"{__name__}:tell_batch tells 2 of 3"
    assert MapRecords.of_reference(mapping.reference) == mapping
    data = pickle.dumps(mapping)
    assert pickle.loads(data) == mapping
    assert mapping.reference.encode() in data


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("no_such_module_here:fn", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("json:no_such", "AttributeError: module 'json' has no attribute 'no_such'"),
        ("broken_on_import:fn", "RuntimeError: no model"),
    ],
)
def test_a_worker_without_its_module_says_what_to_install(
    place: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_on_import.py").write_text("raise RuntimeError('no model')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=rf"map_records 'mine': {place} is not here \({why}\)") as caught:
        MapRecords.of_reference(f"{place} mine 1")
    assert caught.value.exit_code == 2
    assert "install its module wherever shards are encoded" in str(caught.value)
