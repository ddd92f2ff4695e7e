"""What a haul knows of the driver that gets its shards to workers. Beam's is `skyhaul.beam.driver`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from skyhaul.hauling.config import HaulConfig, HaulOptions
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.progress import HaulObserver
from skyhaul_schemas.errors import SkyhaulError


@dataclass(frozen=True, slots=True)
class DriverResult:
    """How a pipeline ended. The dataset says what was done; this only says why not more of it."""

    state: str
    """The runner's last word, such as `DONE`."""
    failed: bool = False
    """The runner gave up; what is left is for the next run."""
    lasting: SkyhaulError | None = None
    """What stopped a worker in another process, and would stop the next run too."""


class Pipeline(Protocol):
    """A haul that is ready to start."""

    def run(self, control: HaulControl, observer: HaulObserver) -> DriverResult:
        """Returns when the pipeline is over. Stops it when `control` is stopped.

        Raises:
            SkyhaulError: What a worker of this process raised (`ShardBug`, `CommitConflict`, `UsageError`).
        """


class Driver(Protocol):
    """Builds pipelines of hauls."""

    def build(self, config: HaulConfig, options: HaulOptions) -> Pipeline:
        """A pipeline that takes up every pending shard of the haul.

        Raises:
            UsageError: There is no such runner, or it cannot do with its options.
        """
