"""Plan a listing of N objects in a process of its own, and say what it cost, as JSON on stdout.

python tests/planning/build/many_objects.py FOLDER N
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from planning.planned import Listing, job_for, pinned, plan_into
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas.plan import PinnedObject


def peak() -> int:
    """Bytes resident at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(folder: Path, count: int) -> None:
    dice = random.Random(7)

    def objects() -> Iterator[PinnedObject]:
        for _ in range(count):
            name = dice.getrandbits(96)
            yield pinned(
                "s", f"crawl/{name % 997:03d}/part-{name:024x}.jsonl", name % 90_000, f'etag:"{name:032x}"'
            )

    job = job_for(folder, shards="target_size: 32MiB")
    plan_into(folder / "warm", job_for(folder / "warm"), {"s": Listing("s", [pinned("s", "x", 1)])})
    before = peak()
    started = time.monotonic()
    header, store = plan_into(folder, job, {"s": Listing("s", objects)})
    planned = time.monotonic()
    plan = Plan.open(store)
    chunks = sum(len(shard.chunks) for shard in plan.shards())
    listed = sum(1 for _ in plan.objects())
    size = sum(bytes for _, _, bytes in plan.summaries())
    plan.close()
    read = time.monotonic()
    print(
        json.dumps(
            {
                "objects": listed,
                "chunks": chunks,
                "shards": header.shards,
                "bytes": size,
                "grown_bytes": peak() - before,
                "peak_bytes": peak(),
                "plan_seconds": round(planned - started, 2),
                "read_seconds": round(read - planned, 2),
                "left_in_spool": len(list((folder / "spool").iterdir())),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
