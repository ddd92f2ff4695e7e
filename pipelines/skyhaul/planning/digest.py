"""The plan's digest, and that of the pinned objects below it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from skyhaul_schemas.digested import canonical_json
from skyhaul_schemas.plan import PinnedObject


class ObjectsDigest:
    """sha256 over a line of JSON for each object, in the plan's order: source, path, size, version,
    checksum. The locator is no part: it says where an object is found, not what it is."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def add(self, obj: PinnedObject) -> None:
        line = json.dumps(
            [obj.source, obj.path, obj.size, obj.version, obj.checksum],
            separators=(",", ":"),
            ensure_ascii=False,
        )
        self._sha256.update(f"{line}\n".encode())

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def plan_digest(job: dict[str, Any], fingerprint: dict[str, str], objects_digest: str) -> str:
    """Hex sha256 over the canonical JSON of what reaches a shard: the job's part, encoders, objects."""
    parts = {"job": job, "fingerprint": fingerprint, "objects": objects_digest}
    return hashlib.sha256(canonical_json(parts)).hexdigest()
