"""The plan's digest, and that of the pinned objects below it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.plan import Chunk, DroppedChunk, PinnedObject, PlanHeader

# Made once: `json.dumps` with options makes an encoder for each call, and a plan has millions of lines.
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class ObjectsDigest:
    """sha256 over a line of JSON for each object, in the plan's order.

    Source, path, size, version, checksum, and where there are block digests a sha256 over them. The locator
    is no part: it says where an object is found, not what it is."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, obj: PinnedObject) -> None:
        self._sha256.update(_line(_pin(obj)))

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def plan_digest(job: dict[str, Any], fingerprint: dict[str, str], objects_digest: str) -> str:
    """Hex sha256 over the canonical JSON of what reaches a shard: the job's part, encoders, objects."""
    # Links, spool, workers and base URLs are not in `job`: they may change while the dataset stays.
    parts = {"job": job, "fingerprint": fingerprint, "objects": objects_digest}
    return hashlib.sha256(canonical_json(parts)).hexdigest()


class RowsDigest:
    """Two digests, each sha256 over a line of JSON for each row of a later generation.

    Of its chunks by shard, and of what it drops. The first generation needs none, because its rows follow
    from its objects."""

    def __init__(self) -> None:
        self._chunks = hashlib.sha256()
        self._dropped = hashlib.sha256()

    def add(self, chunk: Chunk) -> None:
        self._chunks.update(
            _line(
                [chunk.shard, chunk.index, *_pin(chunk.object), chunk.offset, chunk.length]
                # Likewise: a row that needs all of its chunk is as it was before rows said so.
                + ([] if chunk.needed is None else [chunk.needed])
            )
        )

    def drop(self, chunk: DroppedChunk) -> None:
        self._dropped.update(
            _line([chunk.taken_from, *_pin(chunk.object), chunk.offset, chunk.length, chunk.fate])
        )

    def hexdigest(self) -> str:
        """Hex sha256 of the two digests."""
        return hashlib.sha256(self._chunks.digest() + self._dropped.digest()).hexdigest()


def _line(values: list[Any]) -> bytes:
    return f"{_encode(values)}\n".encode()


def _pin(obj: PinnedObject) -> list[Any]:
    pin = [obj.source, obj.path, obj.size, obj.version, obj.checksum]
    # One digest for all of an object's blocks; appended, so that plans without any keep their digest.
    if obj.blocks is not None:
        pin.append(hashlib.sha256(obj.blocks.packed()).hexdigest())
    return pin


def generation_digest(header: PlanHeader) -> str:
    """The digest that `header` should have.

    Of the first generation `plan_digest`, of a later one over that of the generation before too, so that the
    last one's digest stands for the whole chain."""
    own = plan_digest(header.job, header.fingerprint, header.objects_digest)
    if not header.generation:
        return own
    parts = {
        "own": own,
        "kind": header.kind,
        "generation": header.generation,
        "previous": header.previous,
        "rows": header.rows_digest,
    }
    return hashlib.sha256(canonical_json(parts)).hexdigest()
