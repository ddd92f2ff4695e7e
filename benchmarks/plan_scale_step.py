"""One step of bench_plan_scale.py, in a process of its own: prints its seconds and peak MB as JSON.

python benchmarks/plan_scale_step.py JOB plan|begin|fill|resume|status [COMMITTED]
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import sys
import time
from contextlib import closing
from pathlib import Path

from skyhaul.dataset.commits.sealed import write_sealed
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import CommitSums
from skyhaul.dataset.survey import survey
from skyhaul.hauling.lots.pending import Pending
from skyhaul.hauling.lots.stretches import Stretches
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, CommittedFile, CommittedSource, RecordCounts, TransferCounts
from skyhaul_schemas.job.file import load_job
from skyhaul_schemas.plan import GROUP_SIZE, Shard


def record_of(shard: Shard) -> CommitRecord:
    """What a haul might have committed of the shard."""
    digest = hashlib.sha256(str(shard.number).encode()).hexdigest()
    entry = CommittedFile(
        path=layout.data_file(shard.number, "train", 0), bytes=900, sha256=digest, rows=60, raw_bytes=4000
    )
    return CommitRecord(
        shard=shard.number,
        plan=shard.plan,
        source=shard.source,
        files=[entry],
        sources=[
            CommittedSource(object=c.object.path, ranges=[(c.offset, c.length)], sha256=digest)
            for c in shard.chunks
        ],
        records=RecordCounts(read=60, written=60, filtered=0, rejected=0),
        transfer={"leo": TransferCounts(payload_bytes=shard.length, wire_bytes=shard.length)},
        started="2026-01-01T00:00:00.000Z",
        finished="2026-01-01T00:00:00.000Z",
        versions={"skyhaul": "0"},
    )


def fill(store: DatasetStore, plan: Plan, committed: int) -> None:
    """Commit records of the first `committed` shards: full groups sealed, the rest file by file."""
    assert store.local_root is not None
    for group in range(committed // GROUP_SIZE):
        sums, records = CommitSums(), {}
        span = layout.shards_of(group)
        for shard in plan.shards(span.start, span.stop):
            record = record_of(shard)
            sums.add(record)
            records[shard.number] = record.model_dump_json().encode() + b"\n"
        file = write_sealed(store, records, sums.of_group(group))
        store.publish(file.path, layout.sealed_file(group), file.sha256)
    for shard in plan.shards(committed // GROUP_SIZE * GROUP_SIZE, committed):
        path = store.local_root / layout.commit_file(shard.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(record_of(shard).model_dump_json().encode() + b"\n")


def main(job: Path, step: str, committed: int) -> None:
    loaded = load_job(job, os.environ)
    begun = time.monotonic()
    found: dict[str, object] = {}
    with closing(open_store(loaded.job.dataset, writable=True)) as store:
        if step == "plan":
            header = make_plan(loaded, store)
            found = {"objects": header.objects, "shards": header.shards}
        else:
            with closing(Plan.open(store)) as plan:
                if step == "begin":
                    # What a haul does before its first shard: look at what there is, claim one.
                    survey(plan, store)
                    found = {
                        "first": next(
                            Pending(store, Stretches([(0, plan.header.shards)])).shards(plan)
                        ).number
                    }
                elif step == "fill":
                    fill(store, plan, committed)
                elif step == "resume":
                    # The same, then all that is left, shard by shard.
                    seal_full_groups(plan, store)
                    survey(plan, store)
                    left = Pending(store, Stretches([(0, plan.header.shards)])).shards(plan)
                    found = {"first": next(left).number}
                    found["first_after"] = round(time.monotonic() - begun, 2)
                    found["left"] = 1 + sum(1 for _ in left)
                elif step == "status":
                    seen = survey(plan, store)
                    found = {"committed": seen.shards_committed, "left": seen.shards_left}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(time.monotonic() - begun, 2), "peak_mb": round(peak), **found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int((sys.argv[3:] or ["0"])[0]))
