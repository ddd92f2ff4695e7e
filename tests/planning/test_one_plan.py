"""The same job over the same objects is the same plan, byte for byte, whatever else differs."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.planned import Listing, chunks_of, job_for, pinned, plan_bytes, plan_into
from skyhaul.planning.build.catalogue import Cut
from skyhaul.planning.build.cutting import cut
from skyhaul.planning.build.sharding import deal, deal_key
from skyhaul.planning.decoders import Decoders, source_formats
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import PinnedObject

PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda path: not path.startswith("/") and ".." not in path.split("/")
)
SIZES = st.integers(min_value=0, max_value=5000)
OBJECTS = st.dictionaries(
    st.tuples(st.sampled_from(["a", "b", "c.d"]), PATHS), SIZES, min_size=1, max_size=40
)


def listed(objects: dict[tuple[str, str], int], order: random.Random | None) -> dict[str, Listing]:
    names = sorted({source for source, _ in objects})
    found = [pinned(source, path, size) for (source, path), size in objects.items()]
    if order is not None:
        order.shuffle(found)
        order.shuffle(names)
    return {name: Listing(name, [o for o in found if o.source == name]) for name in names}


@settings(max_examples=20, deadline=None)
@given(objects=OBJECTS, seed=st.integers(0, 3), order=st.randoms(use_true_random=False))
def test_the_order_of_a_listing_and_the_folder_are_not_in_a_plan(
    objects: dict[tuple[str, str], int], seed: int, order: random.Random
) -> None:
    found = []
    for turn in (None, order):
        with TemporaryDirectory() as name:
            sources = listed(objects, turn)
            job = job_for(
                Path(name), sorted(sources), top=f"seed: {seed}", shards="target_size: 4kB\nchunk_size: 1kB"
            )
            header, store = plan_into(Path(name), job, sources)
            found.append((header, plan_bytes(store)))
    assert found[0] == found[1]


@settings(max_examples=20, deadline=None)
@given(objects=OBJECTS, target=st.integers(1, 9000), chunk=st.integers(1, 3000))
def test_every_byte_of_every_object_is_in_exactly_one_chunk(
    objects: dict[tuple[str, str], int], target: int, chunk: int
) -> None:
    with TemporaryDirectory() as name:
        sources = listed(objects, None)
        shards = f"target_size: {target}\nchunk_size: {chunk}"
        header, store = plan_into(Path(name), job_for(Path(name), sorted(sources), shards=shards), sources)
        chunks = chunks_of(store)
    stretches: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for _, _, source, path, offset, length in chunks:
        stretches.setdefault((source, path), []).append((offset, length))
    assert stretches.keys() == objects.keys()
    for place, size in objects.items():
        end = 0
        for offset, length in sorted(stretches[place]):
            assert offset == end
            end += length
        assert end == size
        assert size or stretches[place] == [(0, 0)]
    assert (header.chunks, header.objects, header.source_bytes) == (
        len(chunks),
        len(objects),
        sum(objects.values()),
    )


@settings(max_examples=60, deadline=None)
@given(objects=OBJECTS, target=st.integers(1, 9000))
def test_shards_are_of_one_source_each_filled_and_numbered_without_gaps(
    objects: dict[tuple[str, str], int], target: int
) -> None:
    cuts = sorted(
        (Cut(pinned(source, path, size), 0, size) for (source, path), size in objects.items()),
        key=lambda c: (c[0].source.encode(), deal_key(1, c[0], c[1])),
    )
    chunks = list(deal(cuts, target))
    assert [Cut(c.object, c.offset, c.length) for c in chunks] == cuts
    shards: dict[int, list[int]] = {}
    for chunk in chunks:
        assert chunk.index == len(shards.setdefault(chunk.shard, []))
        shards[chunk.shard].append(chunk.length)
    assert list(shards) == list(range(len(shards)))
    sources = [{c.object.source for c in chunks if c.shard == shard} for shard in shards]
    assert all(len(names) == 1 for names in sources)
    for shard, lengths in shards.items():
        assert sum(lengths) <= target or len([n for n in lengths if n]) == 1 or lengths[0] > target
        if shard + 1 in shards and sources[shard] == sources[shard + 1]:
            assert sum(lengths) + shards[shard + 1][0] > target


def test_sources_are_numbered_by_the_bytes_of_their_names(tmp_path: Path) -> None:
    names = ["b", "B", "a-1", "a.1", "a"]
    sources = {name: Listing(name, [pinned(name, "x.jsonl", 10)]) for name in names}
    header, store = plan_into(tmp_path, job_for(tmp_path, names), sources)
    assert [row[2] for row in chunks_of(store)] == ["B", "a", "a-1", "a.1", "b"]
    assert [header.by_source[name]["first_shard"] for name in ("B", "a", "a-1", "a.1", "b")] == [
        0,
        1,
        2,
        3,
        4,
    ]


def test_objects_are_sorted_by_the_bytes_of_their_paths_not_by_code_units(tmp_path: Path) -> None:
    """UTF-16 order would put U+FF5E after U+1F600, and a locale would fold case."""
    paths = ["\U0001f600", "\uff5e", "\u00e9", "z", "Z", "a/b", "a-b", "a", "e\u0301"]
    sources = {"s": Listing("s", [pinned("s", path, 1) for path in paths])}
    _, store = plan_into(tmp_path, job_for(tmp_path), sources)
    from skyhaul.planning.store.plan import Plan

    found = [o.path for o in Plan.open(store).objects()]
    assert found == sorted(paths, key=str.encode)


def test_another_seed_deals_otherwise_and_the_dealing_never_changes() -> None:
    """Frozen: these keys are what plans already made rest on."""
    obj = pinned("s", "a/\u00e9.jsonl", 10)
    assert deal_key(0, obj, 0).hex() == "44cbcafae5a41e1dbec3a68f2698b07f"
    assert deal_key(7, obj, 4096).hex() == "6f4056ee73dea959453ef578e1b512e5"
    assert deal_key(0, obj, 0) != deal_key(1, obj, 0)


def test_chunks_of_one_object_are_spread_over_the_shards(tmp_path: Path) -> None:
    sources = {"s": Listing("s", [pinned("s", f"{n}.jsonl", 8000) for n in range(20)])}
    job = job_for(tmp_path, shards="target_size: 8kB\nchunk_size: 1kB")
    _, store = plan_into(tmp_path, job, sources)
    shards: dict[int, set[str]] = {}
    for shard, _, _, path, _, _ in chunks_of(store):
        shards.setdefault(shard, set()).add(path)
    assert len(shards) == 20
    assert sum(len(paths) for paths in shards.values()) / len(shards) > 5


def test_a_shard_takes_no_more_than_twenty_thousand_chunks() -> None:
    obj = pinned("s", "x", 0)
    chunks = list(deal((Cut(obj, 0, 0) for _ in range(45_000)), 1))
    assert [sum(c.shard == n for c in chunks) for n in range(3)] == [20_000, 20_000, 5_000]


@settings(max_examples=60, deadline=None)
@given(objects=OBJECTS, target=st.integers(1, 9000), groups=st.integers(1, 5))
def test_a_group_is_in_one_shard_however_full_that_is(
    objects: dict[tuple[str, str], int], target: int, groups: int
) -> None:
    def group_of(obj: PinnedObject) -> str | None:
        name = obj.size % (groups + 1)
        return str(name) if name else None

    cuts = sorted(
        (Cut(pinned(source, path, size), 0, size) for (source, path), size in objects.items()),
        key=lambda c: (c[0].source.encode(), deal_key(1, c[0], c[1], group_of(c[0])), c[0].path.encode()),
    )
    chunks = list(deal(cuts, target, group_of=group_of))
    assert [Cut(c.object, c.offset, c.length) for c in chunks] == cuts
    places: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for chunk in chunks:
        name = group_of(chunk.object)
        if name is not None:
            places.setdefault((chunk.object.source, name), []).append((chunk.shard, chunk.index))
    for found in places.values():
        shard, first = found[0]
        assert found == [(shard, first + n) for n in range(len(found))]


def test_a_group_of_too_many_objects_is_refused() -> None:
    cuts = [Cut(pinned("s", f"a.{n}", 1), 0, 1) for n in range(257)]
    assert len(list(deal(cuts[:256], 1, group_of=lambda obj: "a"))) == 256
    with pytest.raises(UsageError, match="source 's': more than 256 objects are called 'a'"):
        list(deal(cuts, 1, group_of=lambda obj: "a"))


@pytest.mark.parametrize("checksum", ["sha256:" + "0" * 64, "crc32c:00000000"])
def test_an_object_with_a_checksum_of_the_whole_is_not_cut(tmp_path: Path, checksum: str) -> None:
    job = job_for(tmp_path, shards="chunk_size: 1kB").job
    decoder = Decoders(source_formats(job)).of("s", "x.jsonl")

    def chunks(obj: PinnedObject) -> list[tuple[int, int]]:
        cuts = cut(obj, decoder, 1000, None, lambda a, b: b"{}")
        return [(found.offset, found.length) for found in cuts]

    assert chunks(pinned("s", "x.jsonl", 2500)) == [(0, 1000), (1000, 1000), (2000, 500)]
    assert chunks(pinned("s", "x.jsonl", 2500, checksum=checksum)) == [(0, 2500)]
    assert chunks(pinned("s", "x.jsonl", 0)) == [(0, 0)]
