"""What the spool's parts tell the engine, which owns the shards and the sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.spool.open_shard import OpenShard


class SpoolEvents(Protocol):
    """Called on the loop's thread, by verification, group commits and the quota. Raises nothing."""

    def admitted(self, shard: OpenShard, segment: int) -> None:
        """The segment has room in the spool: it may be fetched."""

    def fetch_again(self, shard: OpenShard, stretches: Sequence[Stretch]) -> None:
        """Positions of the shard that had arrived are lost, and have to cross once more."""

    def check_ended(self, shard: OpenShard) -> None:
        """A check of a shard that was released meanwhile is over: the shard may be let go."""

    def shard_failed(self, shard: OpenShard, error: BaseException) -> None:
        """The shard cannot go on. Anything but a SkyhaulError is a bug, and ends all shards."""

    def crash(self, error: BaseException) -> None:
        """A bug: every fetch ends with the error."""

    def nothing_moves(self) -> bool:
        """Whether no source brings any of what was admitted."""
