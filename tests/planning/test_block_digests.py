"""Block digests in a plan: kept for each object, cut down for each chunk, and part of the plan's digest."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from planning.planned import Listing, job_for, pinned, plan_bytes, plan_into
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.build import cutting
from skyhaul.planning.build.cutting import cut
from skyhaul.planning.decoders import Decoders, source_formats
from skyhaul.planning.store import table_writer as plan_writer
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.formats.bytes.parts import fetched_ranges
from skyhaul_schemas import layout
from skyhaul_schemas.block_digests import BlockDigests
from skyhaul_schemas.errors import PlanDamaged, UsageError
from skyhaul_schemas.plan import Chunk, PinnedObject

SUM = "sha256:" + "0" * 64


def digests(step: int, size: int) -> BlockDigests:
    blocks = range(-(-size // step))
    return BlockDigests(step, ((0, b"".join(hashlib.sha256(b"%d" % n).digest() for n in blocks)),))


def listed(path: str, size: int, step: int = 1000) -> PinnedObject:
    """An object as a list with a checksum of the whole and digests by block states it."""
    return pinned("s", path, size, SUM, checksum=SUM, blocks=digests(step, size))


def cuts(path: str, size: int, *, step: int = 1000, chunk_size: str = "2500") -> list[tuple[int, int]]:
    job = job_for(Path(), format=None, shards=f"chunk_size: {chunk_size}").job
    decoder = Decoders(source_formats(job)).of("s", path)
    found = cut(listed(path, size, step), decoder, int(chunk_size), None, lambda a, b: b"{}")
    return [(chunk.offset, chunk.length) for chunk in found]


def test_an_object_with_digests_by_block_is_cut_at_their_borders_though_it_has_a_checksum() -> None:
    assert cuts("x.jsonl", 5500) == [(0, 2000), (2000, 2000), (4000, 1500)]
    assert cuts("x.jsonl", 5500, step=4000) == [(0, 4000), (4000, 1500)], "a block at the least"
    assert cuts("x.jsonl", 1999) == [(0, 1999)]


@pytest.mark.parametrize("path", ["x.jsonl.gz", "x.parquet"])
def test_it_stays_whole_where_its_format_cannot_be_cut_or_would_have_to_be_read_first(path: str) -> None:
    assert cuts(path, 5500) == [(0, 5500)]


def test_a_chunk_has_the_digests_of_all_that_is_fetched_for_it_and_of_some_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cutting, "BEYOND", 20_000)
    job = job_for(Path()).job
    decoder = Decoders(source_formats(job)).of("s", "x.jsonl")
    obj = listed("x.jsonl", 100_000)
    assert obj.blocks is not None
    for found in cut(obj, decoder, 5000, None, lambda a, b: b"{}"):
        chunk = found.placed(0, 0)
        blocks = chunk.object.blocks
        assert blocks is not None
        stop = chunk.offset + chunk.length
        known = [n for n in range(100) if blocks.digest_of(n) is not None]
        assert known == list(range(max(0, chunk.offset - 1000) // 1000, min(stop + 20_000, 100_000) // 1000))
        assert all(blocks.digest_of(n) == obj.blocks.digest_of(n) for n in known)
        for offset, length in fetched_ranges(chunk, decoder):
            assert offset % 1000 == (offset + length) % 1000 == 0
            assert set(range(offset // 1000, (offset + length) // 1000)) <= set(known)


def planned(folder: Path, objects: list[PinnedObject]) -> DatasetStore:
    folder.mkdir(exist_ok=True)
    job = job_for(folder, shards="chunk_size: 2kB\ntarget_size: 6kB")
    return plan_into(folder, job, {"s": Listing("s", objects)})[1]


OBJECTS = [listed("a.jsonl", 9500), pinned("s", "b.jsonl", 5000), listed("c.jsonl", 100)]


def chunks(store: DatasetStore) -> list[Chunk]:
    plan = Plan.open(store)
    try:
        return [chunk for shard in plan.shards() for chunk in shard.chunks]
    finally:
        plan.close()


def test_a_plan_keeps_digests_where_a_list_states_them_and_null_where_not(tmp_path: Path) -> None:
    store = planned(tmp_path, OBJECTS)
    plan = Plan.open(store)
    found = list(plan.objects())
    plan.close()
    assert found == OBJECTS
    assert [obj.blocks for obj in found] == [obj.blocks for obj in OBJECTS]
    whole = {obj.path: obj.blocks for obj in OBJECTS}
    for chunk in chunks(store):
        blocks, stated = chunk.object.blocks, whole[chunk.object.path]
        assert (blocks is None) == (stated is None)
        if blocks is not None and stated is not None:
            for number in range(chunk.offset // 1000, -(-(chunk.offset + chunk.length) // 1000)):
                assert blocks.digest_of(number) == stated.digest_of(number)
    column = pq.read_table(pa.BufferReader(store.read_bytes(layout.OBJECTS))).column("blocks")
    assert [None if value is None else len(value) for value in column.to_pylist()] == [
        8 + 16 + 10 * 32,
        None,
        8 + 16 + 32,
    ]


def test_digests_are_part_of_the_plans_digest(tmp_path: Path) -> None:
    def digest(name: str, objects: list[PinnedObject]) -> str:
        plan = Plan.open(planned(tmp_path / name, objects))
        plan.close()
        return plan.header.objects_digest

    other = replace(OBJECTS[0], blocks=BlockDigests(1000, ((0, bytes(320)),)))
    found = {
        digest("a", OBJECTS),
        digest("b", [other, *OBJECTS[1:]]),
        digest("c", [replace(OBJECTS[0], blocks=None), *OBJECTS[1:]]),
        digest("d", [replace(obj, blocks=None) for obj in OBJECTS]),
    }
    assert len(found) == 4


def test_the_order_of_the_listing_is_not_in_the_plan(tmp_path: Path) -> None:
    forth, back = planned(tmp_path / "a", OBJECTS), planned(tmp_path / "b", OBJECTS[::-1])
    assert plan_bytes(forth) == plan_bytes(back)


def test_row_groups_are_bounded_in_bytes_of_digests_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_writer, "BLOCKS_A_GROUP", 1000)
    objects = [listed(f"{n}.jsonl", 1500) for n in range(40)]
    store = planned(tmp_path, sorted(objects, key=lambda obj: obj.path))
    parquet = pq.ParquetFile(pa.BufferReader(store.read_bytes(layout.OBJECTS)))
    assert parquet.metadata.num_row_groups == 4, "of 12 rows with 88 bytes each, the last of 4"
    assert len(chunks(store)) == 40


@pytest.mark.parametrize("size", [1000, 3001])
def test_a_listing_with_digests_that_do_not_fit_its_object_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(UsageError, match=r"lists 'c\.jsonl', with digests of other blocks than it has"):
        planned(tmp_path, [replace(listed("c.jsonl", 2500), size=size)])


def test_a_plan_of_a_version_without_the_column_is_refused_as_such(tmp_path: Path) -> None:
    store = planned(tmp_path, OBJECTS)
    path = tmp_path / "dataset" / layout.SHARDS
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["blocks"]), path)
    with pytest.raises(PlanDamaged, match="another version wrote it"):
        Plan.open(store)
