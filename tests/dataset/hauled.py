"""A small dataset made of real files by the real planner, decoders and encoder, in this process."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.recipe import Recipe
from skyhaul.planning.store.plan import Plan
from skyhaul.shards.encode import encode_shard
from skyhaul_connectors.formats.bytes.chunk_bytes import FileChunkBytes
from skyhaul_schemas.commit import CommitRecord, TransferCounts
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.plan import Chunk, Shard

WORDS = Path(random.__file__).read_text(encoding="utf-8").split()

JOB = """\
version: 1
name: small
dataset: {dataset}
spool: {spool}
seed: 3
sources:
  lines:
    url: {region}/lines/*.jsonl
    format: jsonl
    fields: {{text: body, source_id: id}}
  texts:
    url: {region}/texts/*.txt
    format: text
shards:
  target_size: 24kB
  chunk_size: 8kB
  row_group_size: 6kB
  file_size: 16kB
  splits: {{train: 0.8, validation: 0.2}}
"""


@dataclass
class Hauled:
    """A planned dataset and the way to haul its shards."""

    store: DatasetStore
    plan: Plan
    recipe: Recipe
    region: Path
    loaded: LoadedJob

    @property
    def root(self) -> Path:
        assert self.store.local_root is not None
        return self.store.local_root

    def shards(self) -> list[Shard]:
        return list(self.plan.shards())

    def encode(self, shard: Shard, store: DatasetStore | None = None) -> CommitRecord:
        return encode_shard(
            shard,
            self.recipe,
            self.open_chunk,
            store or self.store,
            transfer=lambda: {"leo": TransferCounts(payload_bytes=shard.length)},
            started="2026-01-01T00:00:00.000Z",
            cancelled=lambda: False,
            transforms=self.recipe.transforms(shard.source),
        )

    def open_chunk(self, chunk: Chunk) -> FileChunkBytes:
        folder = chunk.object.source
        return FileChunkBytes(str(self.region / folder / chunk.object.path), chunk)

    def haul(self, shards: Sequence[Shard] | None = None) -> list[CommitRecord]:
        return [self.encode(shard) for shard in (self.shards() if shards is None else shards)]

    def reopened(self, files: LocalFiles | None = None) -> DatasetStore:
        """The dataset as another process opens it."""
        return open_store(self.store.url, writable=True, files=files)


def write_region(root: Path, *, seed: int = 1, lines: int = 200, texts: int = 12) -> Path:
    """JSONL files with a broken line now and then, texts, an empty object of each kind."""
    rng = random.Random(seed)
    (root / "lines").mkdir(parents=True)
    (root / "texts").mkdir()
    for part in range(3):
        rows = []
        for number in range(lines):
            text = " ".join(rng.choices(WORDS, k=rng.randrange(3, 40)))
            row = json.dumps({"id": f"{part}-{number}", "body": text, "n": number})
            rows.append(row[:-3] if rng.random() < 0.02 else row)
        (root / "lines" / f"part #{part}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for number in range(texts):
        text = " ".join(rng.choices(WORDS, k=rng.randrange(50, 400)))
        (root / "texts" / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    (root / "lines" / "empty.jsonl").write_bytes(b"")
    (root / "texts" / "empty.txt").write_bytes(b"")
    return root


def plan_small(folder: Path, region: Path | None = None, *, name: str = "dataset", job: str = JOB) -> Hauled:
    """Plan the region (a new one by default) into `folder/name`."""
    region = region or write_region(folder / "region")
    text = job.format(dataset=folder / name, spool=folder / "spool", region=region)
    loaded = parse_job(text, "job.yaml", {})
    store = open_store(str(folder / name), writable=True)
    make_plan(loaded, store)
    plan = Plan.open(store)
    return Hauled(store, plan, Recipe.of(loaded.job, plan.header), region, loaded)


def digests(root: Path, *folders: str) -> dict[str, str]:
    """sha256 by path of the files below data/ and the rejects, which one plan fixes byte for byte."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders or ("data", "_skyhaul/rejects")
        for path in sorted((root / folder).rglob("*"))
        if path.is_file()
    }
