"""One plan, one dataset, in virtual time: hauls through seeded faults of source and link, killed and resumed,
each encoded from what its engine had fetched, end with the same sha256 of every file in `data/`."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.hauling.rig import data_digests, reject_digests, write_region
from tests.transfer.rig import Rig, behind, emulated_link
from tests.transfer.test_faults_in_virtual_time import draw_link
from tests.virtual_time import run_virtual

from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.chunk_access import SegmentMap
from skyhaul.planning.make_plan import plan_sources
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.shards.encode import encode_shard
from skyhaul_connectors.sources.memory.faults import seeded
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.transfer.spool.open_shard import OpenShard
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.plan import Chunk, Shard

REGION_SEED = 8


@pytest.fixture(scope="module")
def ram() -> Iterator[Path]:
    """Folders whose syncs cost nothing, where there are any."""
    memory = Path("/dev/shm")
    usable = memory.is_dir() and os.access(memory, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="skyhaul-test-", dir=memory if usable else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def objects(ram: Path) -> dict[str, bytes]:
    write_region(ram / "region", REGION_SEED, jsonl_bytes=90_000, texts=6)
    lines = sorted((ram / "region" / "lines").iterdir())
    return {path.name: path.read_bytes() for path in lines}


class Fetched:
    """A chunk's bytes out of the segments that the engine brought."""

    def __init__(self, chunk: Chunk, pieces: list[tuple[int, bytes]], beyond: bytes) -> None:
        self.chunk = chunk
        self._pieces = pieces
        self._beyond = beyond

    def read(self, offset: int, length: int) -> bytes:
        stop = min(offset + length, self.chunk.object.size)
        for start, data in self._pieces:
            if start <= offset and stop <= start + len(data):
                return data[offset - start : stop - start]
        return self._beyond[offset:stop]


def planned(folder: Path, objects: dict[str, bytes]) -> tuple[LoadedJob, DatasetStore, Plan]:
    loaded = parse_job(
        f"""
version: 1
name: virtual
dataset: {folder / "out"}
spool: {folder / "spool"}
seed: 5
sources:
  m: {{url: "memory/*.jsonl", format: jsonl, fields: {{text: body, source_id: id}}}}
shards: {{target_size: 20kB, chunk_size: 8kB, splits: {{train: 0.8, validation: 0.2}}}}
""",
        "virtual.yaml",
        {},
    )
    store = open_store(str(folder / "out"), writable=True)
    plan_sources(loaded, {"m": ["*.jsonl"]}, {"m": MemorySource("m", objects)}, store)
    return loaded, store, Plan.open(store)


def encode(shard: Shard, recipe: Recipe, store: DatasetStore, open_chunk: Callable[[Chunk], Fetched]) -> None:
    encode_shard(
        shard,
        recipe,
        open_chunk,
        store,
        transfer=dict,
        started="2026-01-01T00:00:00Z",
        cancelled=lambda: False,
    )


async def haul(folder: Path, objects: dict[str, bytes], seed: int) -> None:
    """Run after run, each but the last cut off at a random moment, as SIGKILL would."""
    draw = random.Random(f"virtual/{seed}")
    loaded, store, plan = planned(folder, objects)
    recipe = Recipe.of(loaded.job, plan.header)
    kills = draw.choice([0, 0, 1, 3])
    profile = draw_link(draw)
    for run in range(kills + 1):
        source = MemorySource(
            "m",
            objects,
            latency=draw.choice([0, 0.05]),
            pipelines=draw.random() < 0.5,
            faults=seeded(seed * 10 + run, draw.choice([0, 0.05, 0.2])),
        )
        link = emulated_link("a", profile, seed)
        rig = Rig(folder / "spool", behind(source, link, draw.choice([1, 4, 32])), seed=seed, patience=1e5)
        shards = list(plan.shards())
        dies_in = draw.randrange(3) if run < kills else len(shards)
        for shard in shards[: dies_in + 1]:
            chosen = SegmentMap(shard, lambda chunk: recipe.decoder(chunk.object.source, chunk.object.path))
            fetching = rig.engine.fetch(shard.number, "m", chosen.segments)
            if shard.number == dies_in:
                # Dies with this shard open: what its journal knows is all that the next run finds.
                await asyncio.sleep(draw.uniform(0.05, 2))
                break
            await _encode_fetched(rig, fetching, chosen, shard, recipe, store, objects)
        rig.engine.close()
    plan.close()


async def _encode_fetched(
    rig: Rig,
    fetching: OpenShard,
    chosen: SegmentMap,
    shard: Shard,
    recipe: Recipe,
    store: DatasetStore,
    objects: dict[str, bytes],
) -> None:
    contents = await rig.contents(fetching)

    def open_chunk(chunk: Chunk) -> Fetched:
        pieces = [(chosen.segments[i].offset, contents[i]) for i in chosen.of(chunk)]
        return Fetched(chunk, pieces, objects[chunk.object.path])

    encode(shard, recipe, store, open_chunk)
    rig.engine.release(fetching, keep=False)


@pytest.fixture(scope="module")
def reference(ram: Path, objects: dict[str, bytes]) -> tuple[dict[str, str], dict[str, str]]:
    """Encoded straight from the objects: no engine, no link."""
    folder = ram / "reference"
    loaded, store, plan = planned(folder, objects)
    recipe = Recipe.of(loaded.job, plan.header)
    for shard in plan.shards():
        encode(shard, recipe, store, lambda chunk: Fetched(chunk, [], objects[chunk.object.path]))
    assert plan.header.shards >= 4
    return data_digests(folder / "out"), reject_digests(folder / "out")


def hauls_end_with(
    ram: Path, objects: dict[str, bytes], expected: tuple[dict[str, str], dict[str, str]], seeds: range
) -> None:
    for seed in seeds:
        print(f"seed {seed}")
        folder = ram / f"seed-{seed}"
        run_virtual(haul(folder, objects, seed), limit=1e6)
        assert (data_digests(folder / "out"), reject_digests(folder / "out")) == expected
        shutil.rmtree(folder)


@pytest.mark.parametrize("block", range(4))
def test_whatever_the_seed_the_files_are_the_same(
    block: int, ram: Path, objects: dict[str, bytes], reference: tuple[dict[str, str], dict[str, str]]
) -> None:
    hauls_end_with(ram, objects, reference, range(10 * block, 10 * block + 10))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_over_hundreds_of_seeds_the_files_are_the_same(
    ram: Path, objects: dict[str, bytes], reference: tuple[dict[str, str], dict[str, str]]
) -> None:
    hauls_end_with(ram, objects, reference, range(1000, 1300))
