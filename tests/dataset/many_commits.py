"""Plans of many shards, and their commit records without the data: what a haul of that size leaves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from planning.planned import Listing, job_for, pinned, plan_into
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout
from skyhaul_schemas.commit import (
    CommitRecord,
    CommittedFile,
    CommittedSource,
    RecordCounts,
    TransferCounts,
)
from skyhaul_schemas.plan import PinnedObject, Shard

STARTED = "2026-01-01T00:00:00.000Z"


def plan_of_shards(folder: Path, shards: int) -> tuple[Plan, DatasetStore]:
    """A plan of `shards` shards with one object each."""
    folder.mkdir(exist_ok=True)

    def objects() -> Iterator[PinnedObject]:
        for number in range(shards):
            yield pinned("s", f"{number:07d}.jsonl", 1000)

    loaded = job_for(folder, shards="target_size: 1000B")
    _, store = plan_into(folder, loaded, {"s": Listing("s", objects)})
    return Plan.open(store), store


def record_of(shard: Shard, *, finished: str = STARTED) -> CommitRecord:
    """What a haul might commit of the shard; a function of the shard but for `finished`."""
    digest = hashlib.sha256(str(shard.number).encode()).hexdigest()
    rows = 5 + shard.number % 3
    return CommitRecord(
        shard=shard.number,
        plan=shard.plan,
        source=shard.source,
        files=[
            CommittedFile(
                path=layout.data_file(shard.number, "train", 0),
                bytes=500,
                sha256=digest,
                rows=rows,
                raw_bytes=900,
            )
        ],
        sources=[
            CommittedSource(
                object=chunk.object.path,
                ranges=[(chunk.offset, chunk.length)],
                sha256=digest,
                damaged=shard.number % 500 == 0,
            )
            for chunk in shard.chunks
        ],
        records=RecordCounts(read=rows + 2, written=rows, filtered=2, rejected=0),
        filtered_by={"short": 2},
        transfer={"leo": TransferCounts(payload_bytes=shard.length, wire_bytes=shard.length + 50)},
        started=STARTED,
        finished=finished,
        versions={"skyhaul": "0"},
    )


def put_records(store: DatasetStore, shards: Iterable[Shard]) -> None:
    """Commit records as files, without the syncing that a haul does."""
    assert store.local_root is not None
    for shard in shards:
        path = store.local_root / layout.commit_file(shard.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record_of(shard).to_line())
