"""Objects in memory as a source: for tests of pipelines (ours and users'), with faults by script.

Needs nothing of the loop but `time`, `call_soon` and `call_at`, so it runs in virtual time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.memory.channel import Manner, MemoryChannel, Served
from skyhaul_connectors.sources.memory.faults import Fault, FaultScript
from skyhaul_connectors.sources.protocol import ChannelEvents, RangeRequest, Route
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import ObjectMissing, SourceChanged
from skyhaul_schemas.plan import PinnedObject


class MemorySource:
    """Objects held in memory. `served` logs every request, for tests that count what was fetched again.

    Args:
        name: The source's.
        objects: Path -> content.
        latency: Seconds before a connection opens and before each answer starts.
        rate: Bytes per second of one channel; None: as fast as the loop turns.
        piece: Most bytes of one `received`.
        pipelines: Whether channels take several requests at once.
        faults: What goes wrong, see `memory.faults`.
        refuse_connects: So many first connections fail.
        checksums: Whether the listing states sha256.
        timeouts: Whose `idle` ends a channel that a fault has stalled.
    """

    def __init__(
        self,
        name: str,
        objects: Mapping[str, bytes],
        *,
        latency: float = 0.0,
        rate: float | None = None,
        piece: int = 64 * 1024,
        pipelines: bool = True,
        faults: FaultScript | None = None,
        refuse_connects: int = 0,
        checksums: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        if piece < 1:
            raise ValueError("piece must be at least 1 byte")
        self._name = name
        self._objects = dict(objects)
        # By content: the same objects in another process have the same versions, so a plan fits both.
        self._versions = {path: _version_of(data) for path, data in self._objects.items()}
        idle = (timeouts or Timeouts()).idle
        self._manner = Manner(latency, rate, piece, pipelines, idle)
        self._faults = faults
        self._refusals_left = refuse_connects
        self._checksums = checksums
        self._attempts: Counter[tuple[str, int]] = Counter()
        self._changes = 0
        self.served: list[Served] = []

    @property
    def name(self) -> str:
        return self._name

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        # A copy: a test may add objects while a listing runs.
        for path, data in list(self._objects.items()):
            yield PinnedObject(
                source=self._name,
                path=path,
                size=len(data),
                version=self._versions[path],
                checksum=f"sha256:{hashlib.sha256(data).hexdigest()}" if self._checksums else None,
            )

    def connect(self, events: ChannelEvents, route: Route) -> MemoryChannel:
        refused = self._refusals_left > 0
        if refused:
            self._refusals_left -= 1
        return MemoryChannel(self, self._manner, events, refused=refused)

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        return self.pinned_bytes(obj)[offset : offset + length]

    def close(self) -> None:
        """Nothing is held open."""

    def replace(self, path: str, data: bytes) -> None:
        """Put other content under `path`, as a source does that changes under a plan."""
        self._objects[path] = data
        self._versions[path] = _version_of(data)

    def delete(self, path: str) -> None:
        """Take the object away."""
        self._objects.pop(path, None)
        self._versions.pop(path, None)

    def touch(self, path: str) -> None:
        """Give the object another version and leave its content."""
        self._changes += 1
        self._versions[path] = f'etag:"changed-{self._changes}"'

    def pinned_bytes(self, obj: PinnedObject) -> bytes:
        """The content, if it still is the pinned version. Raises ObjectMissing or SourceChanged."""
        data = self._objects.get(obj.path)
        if data is None:
            raise ObjectMissing(f"{self._name}: {obj.path!r} is gone")
        if self._versions[obj.path] != obj.version or len(data) != obj.size:
            raise SourceChanged(
                f"{self._name}: {obj.path!r} is version {self._versions[obj.path]} now,"
                f" the plan pinned {obj.version}; `skyhaul plan --amend` pins it anew"
            )
        return data

    def fault_for(self, request: RangeRequest) -> Fault | None:
        """What the script says of this request; each call counts as one more try of its range."""
        if self._faults is None:
            return None
        key = (request.object.path, request.offset)
        attempt = self._attempts[key]
        self._attempts[key] += 1
        return self._faults(request, attempt)


def _version_of(data: bytes) -> str:
    return f'etag:"{hashlib.sha256(data).hexdigest()[:32]}"'
