"""One shard: what its record says, and what a failure leaves behind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from shards.made import MadeRecipe, Script, cut, documents, encode, steps
from skyhaul.dataset.storage.opening import open_store
from skyhaul.shards.encode import encode_shard
from skyhaul.shards.transform_step import Transformed
from skyhaul_connectors.formats.bytes.chunk_bytes import BytesChunk
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, Reject
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import ChecksumMismatch, CommitConflict, DecodeError, Interrupted, SourceChanged
from skyhaul_schemas.plan import Chunk, PinnedObject, Shard
from skyhaul_schemas.records import RAW_CAP, REJECTS_SCHEMA, shard_schema


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_record_says_what_the_files_hold(tmp_path: Path) -> None:
    rows = documents([f"text number {n}" * 9 for n in range(400)])
    recipe = MadeRecipe(
        Script({"a": steps(cut(rows, [100]), [Reject(3, 5, "broken", b"raw" * 5000)])}),
        row_group_size=8_000,
        file_size=20_000,
        splits={"train": 0.9, "validation": 0.1},
    )
    record = encode(tmp_path, recipe, {"a": b"12345"})
    assert (record.records.read, record.records.written, record.records.rejected) == (401, 400, 1)
    texts = []
    for file in record.files:
        data = (tmp_path / file.path).read_bytes()
        parquet = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        assert (file.bytes, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert file.rows == parquet.metadata.num_rows > 0
        groups = [parquet.metadata.row_group(n) for n in range(parquet.num_row_groups)]
        assert file.raw_bytes == sum(group.total_byte_size for group in groups) <= 20_000
        assert all(group.total_byte_size <= 8_000 for group in groups)
        assert parquet.schema_arrow.equals(shard_schema("document"))
        texts += parquet.read()["text"].to_pylist()
    assert sorted(texts) == sorted(rows["text"].to_pylist())
    assert len(record.files) > 3
    assert record.rejects is not None
    rejects = pq.read_table(tmp_path / record.rejects.path)
    assert rejects.schema.equals(REJECTS_SCHEMA)
    assert rejects.to_pylist() == [
        {"source": "src", "object": "a", "offset": 3, "length": 5, "reason": "broken",
         "raw": (b"raw" * 5000)[:RAW_CAP]}
    ]  # fmt: skip
    assert record.versions["script"] == "1"
    assert record.versions["pyarrow"] == pa.__version__


def test_files_carry_checksums_page_index_and_statistics_where_they_mean_something(tmp_path: Path) -> None:
    record = encode(tmp_path, MadeRecipe(Script({"a": steps([documents(["x", "y"])])})), {"a": b""})
    group = pq.ParquetFile(tmp_path / record.files[0].path).metadata.row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert all(column.compression == "ZSTD" and column.has_offset_index for column in columns.values())
    assert columns["id"].statistics.min == "src/a#0"
    assert columns["text"].statistics is None
    assert "PLAIN" in columns["text"].encodings
    assert "RLE_DICTIONARY" not in columns["text"].encodings
    assert "RLE_DICTIONARY" in columns["provenance.object"].encodings


@pytest.mark.parametrize(
    ("codec", "level", "found"),
    [("none", None, "UNCOMPRESSED"), ("snappy", None, "SNAPPY"), ("zstd", 9, "ZSTD")],
)
def test_compression_is_the_recipes(tmp_path: Path, codec: str, level: int | None, found: str) -> None:
    recipe = MadeRecipe(Script({"a": steps([documents(["x"])])}), codec=codec, level=level)
    record = encode(tmp_path, recipe, {"a": b""})
    group = pq.ParquetFile(tmp_path / record.files[0].path).metadata.row_group(0)
    assert group.column(0).compression == found


@pytest.mark.parametrize(
    "reads",
    [
        lambda data: data.read(0, 100),
        lambda data: [data.read(n, 7) for n in range(0, 100, 7)],
        lambda data: [data.read(n, 10) for n in range(90, -1, -10)],
        lambda data: [data.read(0, 40), data.read(20, 60)],
        lambda data: None,
        lambda data: [data.read(0, 10), data.read(50, 1000)],
    ],
    ids=["at once", "in pieces", "backwards", "overlapping", "not at all", "with a hole and beyond the end"],
)
def test_a_chunks_digest_is_of_its_bytes_however_they_are_read(tmp_path: Path, reads: object) -> None:
    body = bytes(range(100))
    recipe = MadeRecipe(Script({"a": steps([documents(["x"])])}, reads=reads))  # type: ignore[arg-type]  # lambdas
    record = encode(tmp_path, recipe, {"a": body})
    assert record.sources[0].sha256 == hashlib.sha256(body).hexdigest()
    assert record.sources[0].ranges == [(0, 100)]


def test_a_shard_without_rows_commits_without_files(tmp_path: Path) -> None:
    record = encode(tmp_path, MadeRecipe(Script({"a": []})), {"a": b""})
    assert record.files == []
    assert record.rejects is None
    assert files_below(tmp_path) == [layout.commit_file(0)]


def test_a_damaged_object_is_marked_and_its_shard_commits(tmp_path: Path) -> None:
    rest = Decoded(documents([]), [Reject(2, 8, "truncated", b"")], damaged=True)
    recipe = MadeRecipe(Script({"a": [*steps([documents(["x"])]), rest], "b": steps([documents(["y"])])}))
    record = encode(tmp_path, recipe, {"a": b"0123456789", "b": b""})
    assert [source.damaged for source in record.sources] == [True, False]
    assert record.damaged == 1
    assert record.records.rejected == 1


class Failing(Script):
    """Yields its rows, then fails."""

    def decode(self, data: ChunkBytes):  # type: ignore[no-untyped-def]  # an iterator, like its base's
        yield from super().decode(data)
        raise DecodeError("a: broken at 7")


def test_a_failure_leaves_no_file_of_the_shard(tmp_path: Path) -> None:
    rows = documents([f"text {n}" * 50 for n in range(1000)])
    recipe = MadeRecipe(Failing({"a": steps(cut(rows, range(0, 1000, 50)))}), row_group_size=2000)
    with pytest.raises(DecodeError, match="broken at 7"):
        encode(tmp_path, recipe, {"a": b""})
    assert files_below(tmp_path) == []


def test_a_cancelled_shard_is_interrupted_between_batches_and_leaves_nothing(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    recipe = MadeRecipe(
        Script({"a": steps(cut(documents(["x"] * 100), range(0, 100, 10)))}), row_group_size=60
    )
    with pytest.raises(Interrupted):
        encode(tmp_path, recipe, {"a": b""}, cancelled=lambda: next(asked))
    assert files_below(tmp_path) == []


def test_an_object_shorter_than_planned_is_no_shard(tmp_path: Path) -> None:
    class Short(dict[str, bytes]):
        """Objects that have lost their last byte since they were planned."""

        def __getitem__(self, path: str) -> bytes:
            return super().__getitem__(path)[:-1]

    recipe = MadeRecipe(Script({"a": steps([documents(["x"])])}))
    with pytest.raises(SourceChanged, match="ends at byte 9"):
        encode(tmp_path, recipe, Short(a=b"0123456789"))
    assert files_below(tmp_path) == []


def test_the_same_shard_again_is_success_and_the_first_record_stands(tmp_path: Path) -> None:
    recipe = MadeRecipe(Script({"a": steps([documents(["x"])])}))
    first = encode(tmp_path, recipe, {"a": b"1"})
    assert encode(tmp_path, recipe, {"a": b"1"}) == first


def test_another_encoding_of_a_committed_shard_stops_the_run_and_changes_nothing(tmp_path: Path) -> None:
    recipe = MadeRecipe(Script({"a": steps([documents(["x"])])}))
    encode(tmp_path, recipe, {"a": b"1"})
    before = {path: (tmp_path / path).read_bytes() for path in files_below(tmp_path)}
    other = MadeRecipe(Script({"a": steps([documents(["y"])])}))
    with pytest.raises(CommitConflict, match="other bytes"):
        encode(tmp_path, other, {"a": b"1"})
    assert {path: (tmp_path / path).read_bytes() for path in files_below(tmp_path)} == before


def test_the_same_rows_out_of_other_source_bytes_are_a_conflict(tmp_path: Path) -> None:
    recipe = MadeRecipe(Script({"a": steps([documents(["x"])])}))
    encode(tmp_path, recipe, {"a": b"1"})
    with pytest.raises(CommitConflict):
        encode(tmp_path, recipe, {"a": b"2"})


def test_chunks_are_done_with_one_after_the_other(tmp_path: Path) -> None:
    objects = {"a": b"1", "b": b"2"}
    done: list[str] = []
    recipe = MadeRecipe(Script({name: steps([documents([name])]) for name in objects}))
    encode(tmp_path, recipe, objects, done_with=lambda chunk: done.append(chunk.object.path))
    assert done == ["a", "b"]


def test_transforms_filter_rows_and_their_counts_add_up(tmp_path: Path) -> None:
    def short(batch: pa.RecordBatch) -> Transformed:
        keep = pc.greater(pc.utf8_length(batch["text"]), 3)
        kept = batch.filter(keep)
        return Transformed(kept, {"short": batch.num_rows - kept.num_rows})

    rows = documents(["a", "long enough", "b", "also long"])
    recipe = MadeRecipe(Script({"a": steps(cut(rows, [1, 2]))}), splits={"train": 0.5, "test": 0.5})
    record = encode(tmp_path, recipe, {"a": b""}, transforms=[short])
    assert (record.records.read, record.records.written, record.records.filtered) == (4, 2, 2)
    assert record.filtered_by == {"short": 2}


def test_a_transform_that_loses_rows_unsaid_is_a_bug(tmp_path: Path) -> None:
    recipe = MadeRecipe(Script({"a": steps([documents(["x", "y"])])}))
    with pytest.raises(ValueError, match="lost rows"):
        encode(tmp_path, recipe, {"a": b""}, transforms=[lambda batch: Transformed(batch.slice(1))])


def test_a_decoder_of_another_schema_is_a_bug(tmp_path: Path) -> None:
    wrong = pa.record_batch({"text": ["x"]})
    with pytest.raises(TypeError, match="Script yields"):
        encode(tmp_path, MadeRecipe(Script({"a": steps([wrong])})), {"a": b""})


def test_a_row_larger_than_a_row_group_has_one_of_its_own(tmp_path: Path) -> None:
    rows = documents(["small", "x" * 100_000, "small"])
    record = encode(tmp_path, MadeRecipe(Script({"a": steps([rows])}), row_group_size=1000), {"a": b""})
    footer = pq.read_metadata(tmp_path / record.files[0].path)
    assert [footer.row_group(n).num_rows for n in range(footer.num_row_groups)] == [1, 1, 1]


@pytest.mark.parametrize("texts", [2, 40])
def test_a_footers_count_stays_within_the_bounds_whatever_heads_of_pages_take(
    tmp_path: Path, texts: int
) -> None:
    limit = 1_000_000
    rows = documents(["x" * (limit // texts - 150)] * texts * 4)
    recipe = MadeRecipe(Script({"a": steps([rows])}), row_group_size=limit, file_size=2 * limit)
    for file in encode(tmp_path, recipe, {"a": b""}).files:
        footer = pq.read_metadata(tmp_path / file.path)
        sizes = [footer.row_group(n).total_byte_size for n in range(footer.num_row_groups)]
        assert max(sizes) <= limit
        assert sum(sizes) <= 2 * limit


def test_pages_end_where_the_content_says_and_have_an_index(tmp_path: Path) -> None:
    """A row more in front moves the borders of a few pages only (content-defined chunking)."""
    random = Random(7)
    texts = [random.randbytes(500).hex() for _ in range(8000)]

    def pages(texts: list[str], name: str) -> bytes:
        recipe = MadeRecipe(Script({"a": steps([documents(texts)])}), row_group_size=1 << 24)
        (file,) = encode(tmp_path / name, recipe, {"a": b""}).files
        group = pq.read_metadata(tmp_path / name / file.path).row_group(0)
        columns = [group.column(index) for index in range(group.num_columns)]
        assert all(column.has_offset_index for column in columns)
        assert all(column.has_column_index == column.is_stats_set for column in columns)
        text = next(column for column in columns if column.path_in_schema == "text")
        raw = (tmp_path / name / file.path).read_bytes()
        return raw[text.data_page_offset :][: text.total_compressed_size]

    first, second = pages(texts, "first"), pages(["one more", *texts], "second")
    samples = [first[at : at + 64] for at in range(0, len(first) - 64, 8192)]
    assert sum(sample in second for sample in samples) > 0.6 * len(samples)


def test_a_dataset_in_memory_holds_the_same_files(tmp_path: Path) -> None:
    rows = documents([f"text {n}" for n in range(300)])
    recipe = MadeRecipe(
        Script({"a": steps([rows], [Reject(0, 1, "bad", b"")])}), file_size=5000, row_group_size=5000
    )
    local = encode(tmp_path, recipe, {"a": b"1"})
    store = open_store(f"memory://{tmp_path.name}", writable=True)
    remote = encode(tmp_path, recipe, {"a": b"1"}, store=store)
    assert remote.files == local.files
    assert remote.rejects == local.rejects
    for file in remote.files:
        assert store.read_bytes(file.path) == (tmp_path / file.path).read_bytes()


class GivesOthersLater(BytesChunk):
    """A disk that reads an object once as it is, and with zeros later."""

    def read(self, offset: int, length: int) -> bytes:
        return bytes(len(super().read(offset, length)))


@pytest.mark.parametrize("rotten", [False, True])
def test_what_was_decoded_is_held_against_the_checksum_of_the_sources_list(
    tmp_path: Path, rotten: bool
) -> None:
    data = b"12345"
    recipe = MadeRecipe(Script({"a": steps([documents(["one"])])}))
    obj = PinnedObject("src", "a", 5, 'etag:"1"', f"sha256:{hashlib.sha256(data).hexdigest().upper()}")
    store = open_store(str(tmp_path), writable=True)
    kind = GivesOthersLater if rotten else BytesChunk

    def encoded() -> CommitRecord:
        return encode_shard(
            Shard(0, (Chunk(0, 0, obj, 0, 5),)),
            recipe,
            lambda chunk: kind(data, chunk),
            store,
            transfer=dict,
            started="2026-01-01T00:00:00.000Z",
            cancelled=lambda: False,
        )

    if rotten:
        with pytest.raises(ChecksumMismatch, match="src/a: what was decoded has sha256"):
            encoded()
        assert not store.exists(layout.commit_file(0))
    else:
        assert encoded().sources[0].sha256 == hashlib.sha256(data).hexdigest()
    store.close()
