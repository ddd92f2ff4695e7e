"""A process that fetches one shard of all objects of an HTTP source, for tests that kill it.

    python -m tests.transfer.hauler URL SPOOL CONNECTIONS

Prints `ready` once it has begun and, when all is in, one line of JSON: the sha256 of each object and the
counts. The spool keeps the shard.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.transfer.engine_thread import EngineThread
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_schemas.job.model import SourceSpec

from .rig import PLAN


def main(url: str, spool: str, connections: int) -> None:
    source = open_source("far", SourceSpec(url=[url], max_connections=connections))
    segments = [Segment(obj, 0, obj.size) for obj in sorted(source.listing(), key=lambda obj: obj.path)]
    engine = EngineThread(
        {"far": SourceLanes((Lane("net", source),), connections)},
        EngineSettings(Path(spool), 1 << 40, 600.0, PLAN),
    )
    fetch = engine.fetch(0, "far", segments)
    print("ready", flush=True)
    digests: dict[str, str] = {}
    for index, segment in enumerate(segments):
        fetch.wait(index)
        content = fetch.read(index, 0, segment.length)
        digests[segment.object.path] = hashlib.sha256(content).hexdigest()
    counts = {link: count.model_dump() for link, count in fetch.transfer().items()}
    print(json.dumps({"digests": digests, "counts": counts}), flush=True)
    engine.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
