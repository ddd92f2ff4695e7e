"""Room in the spool: lets segments in as there is some, and makes some of what was dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from skyhaul_connectors.transfer.background import Background
from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.spool.admission import Admission
from skyhaul_connectors.transfer.spool.open_shard import OpenShard, SegmentState
from skyhaul_connectors.transfer.spool.spool import OpenSpoolFile, Spool


class SpoolRoom:
    """The spool's limit, for the shards that are open (`shards`, by key), of `sources`.

    enter: told of each segment that may be fetched. idle: whether nothing that entered comes in any more.
    lost: told of stretches that read wrong while room was made. failed: told of errors.
    """

    def __init__(
        self,
        limit: int,
        spool: Spool,
        journal: Background,
        shards: Mapping[int, OpenShard],
        enter: Callable[[OpenShard, int], None],
        idle: Callable[[], bool],
        lost: Callable[[OpenShard, list[Stretch]], None],
        failed: Callable[[OpenShard, BaseException], None],
        sources: Sequence[str],
    ) -> None:
        self._admission = Admission(limit, spool.remnants, sources)
        self._spool = spool
        self._journal = journal
        self._shards = shards
        self._enter = enter
        self._idle = idle
        self._lost = lost
        self._failed = failed
        self._punching = 0

    def free(self, source: str | None = None) -> bool:
        """Whether another shard of the source makes sense now; None: of any."""
        return self._admission.has_room(source)

    @property
    def taken(self) -> int:
        """Bytes of room in use or promised."""
        return self._admission.taken

    def add(self, shard: OpenShard, inside: list[int]) -> None:
        """The shard's segments queue up; those `inside` have bytes in the spool already."""
        lengths = [segment.length for segment in shard.map.segments]
        self._admission.add(shard.key, lengths, inside, number=shard.number, source=shard.source)
        for segment in sorted(shard.demanded):
            self._admission.demand(shard.key, segment)

    def demand(self, shard: OpenShard, segment: int) -> None:
        shard.demanded.add(segment)
        self._admission.demand(shard.key, segment)
        self.look()

    def drop(self, shard: OpenShard, segment: int) -> None:
        if shard.states[segment] == SegmentState.IN:
            shard.set_state(segment, SegmentState.DROPPED)
            shard.dropped.add(*shard.map.stretch(segment))
            self.look()

    def cancel(self, shard: OpenShard) -> None:
        """The shard ended: none of its segments enters any more."""
        self._admission.cancel(shard.key)
        self.look()

    def leave(self, shard: OpenShard, *, kept: bool) -> None:
        """The shard is gone; what was `kept` of it takes room on."""
        self._admission.leave(shard.key, keep_as=shard.number if kept else None)
        self.look()

    def look(self) -> None:
        """Where segments wait for room, see whether there is some now."""
        if self._admission.blocked:
            self.admit()

    def admit(self) -> None:
        """Let in what fits."""
        reclaiming = self._punching > 0 or any(
            shard.whole_blocks_dropped() for shard in self._shards.values() if shard.error is None
        )
        for key, segment in self._admission.admit(idle=self._idle(), reclaiming=reclaiming):
            shard = self._shards.get(key)
            if shard is not None and shard.error is None:
                self._enter(shard, segment)
        if self._admission.blocked and not self._punching:
            for shard in list(self._shards.values()):
                stretches = shard.whole_blocks_dropped() if shard.error is None else []
                if stretches and shard.spooled is not None:
                    self._punch(shard, shard.spooled, stretches)

    def _punch(self, shard: OpenShard, spooled: OpenSpoolFile, stretches: list[Stretch]) -> None:
        self._punching += 1
        freed = sum(stop - start for start, stop in stretches)
        for start, stop in stretches:
            shard.punched.add(start, stop)
            shard.durable.remove(start, stop)

        def punched(lost: list[Stretch]) -> None:
            self._punching -= 1
            self._admission.freed(shard.key, freed)
            if lost:
                self._lost(shard, lost)
            self.admit()

        def failed(error: BaseException) -> None:
            self._punching -= 1
            self._failed(shard, error)

        self._journal.submit(lambda: self._spool.drop(spooled, stretches, punch=True), punched, failed)
