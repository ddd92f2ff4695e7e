"""The settings of a haul: what its caller wants of it, and what of that crosses to the workers.

To the workers go references and settings; no secrets, nothing live.

Annotations are evaluated here (no `from __future__ import annotations`): `skyhaul.beam.rows` makes the schema
of what crosses from them, which knows `Optional` and no `|`.
"""

from dataclasses import dataclass, fields
from typing import Any, Optional, TypeVar

from skyhaul.shards.foreign_code.map_records import MapRecords

T = TypeVar("T")

IN_PROCESS = "DirectRunner"
"""The runner whose workers are threads of this process."""


@dataclass(frozen=True, slots=True)
class HaulOptions:
    """What a caller wants of one haul, beside the job."""

    workers: int = 1
    """Shards that are encoded side by side in a process."""
    runner: str = IN_PROCESS
    """Beam's name of the runner."""
    max_duration: float | None = None
    """Seconds after which the haul stops and leaves the rest to the next one."""
    deadline: float | str | None = None
    """When to be done, in the place of the job's own: seconds from the start, or a time as RFC 3339."""
    wait: bool = False
    """Sleep through closed contacts instead of putting shards off."""
    beam_args: tuple[str, ...] = ()
    """Beam's pipeline options: what stood after `--`."""
    only: frozenset[int] | None = None
    """The shards of a replay; None for all that are pending."""
    mend: bool = False
    """The shards of `only` are committed, with broken files."""
    spool: str | None = None
    """A folder of the workers' own disks, in the place of the job's."""
    map_records: MapRecords | None = None
    """A program's own code between decoding and writing, where the plan was made with it."""
    guest: bool = False
    """The process is somebody else's: signals stop the haul, and never end the process by its hand."""


@dataclass(frozen=True, slots=True)
class BytesLeft:
    """What a source still had to bring when a haul began."""

    source: str
    bytes: int


@dataclass(frozen=True, slots=True)
class HaulConfig:
    """One haul, as every process of it sees it."""

    run: str
    """The haul's id, one for all processes."""
    dataset: str
    """Path or URL."""
    job_text: str
    """The job file as written, with `${NAME}` unresolved: each process reads its own environment."""
    job_origin: str
    """The job file's name, for messages."""
    workers: int = 1
    """Shards that are encoded side by side in a process."""
    only: Optional[tuple[int, ...]] = None  # noqa: UP045
    """The shards of a replay, rising; None for all that are pending."""
    epoch: float = 0.0
    """Wall clock (Unix seconds) from which emulated links and relative contact windows count."""
    deadline: Optional[float] = None  # noqa: UP045
    """Wall clock (Unix seconds) at which the time budget ends; None without one."""
    wait: bool = False
    """Sleep through closed contacts instead of putting shards off."""
    mend: bool = False
    """The shards of `only` are committed, with broken files; haul them again and put those right."""
    due: Optional[float] = None  # noqa: UP045
    """Wall clock (Unix seconds) at which the haul should be done; None without a deadline."""
    spool: Optional[str] = None  # noqa: UP045
    """A folder of the workers' own disks, in the place of the job's."""
    left: tuple[BytesLeft, ...] = ()
    """Of each source, when the haul began."""
    map_records: Optional[str] = None  # noqa: UP045
    """A program's own code between decoding and writing, by its `MapRecords.reference`: text, which a worker
    imports (`MapRecords.of_reference`)."""

    def __post_init__(self) -> None:
        # A row is read back with lists.
        if self.only is not None:
            object.__setattr__(self, "only", tuple(self.only))
        object.__setattr__(self, "left", tuple(restored(BytesLeft, part) for part in self.left))


@dataclass(frozen=True, slots=True)
class Lot:
    """Some shards for one worker, and whose they are."""

    haul: HaulConfig
    """The haul that they are of; of a replay without `only`, which `stretches` say."""
    plan: str
    """Digest of the last generation of the plan that the lot was dealt from."""
    stretches: tuple[tuple[int, ...], ...]
    """Ranges (first, stop) of shard numbers, rising."""
    bytes: int = 0
    """About how many source bytes they hold."""
    connections: int = 0
    """How many connections it may have to its source at a time: its part of what the source allows; 0 for all
    that its sources allow."""
    again: bool = False
    """Shards that failed for good are taken up, too."""
    divisible: bool = True
    """A runner may give parts of it to other workers; not where they would meet on a link that one process
    has to itself. It is of one source then."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "haul", restored(HaulConfig, self.haul))
        object.__setattr__(self, "stretches", tuple(tuple(stretch) for stretch in self.stretches))

    @property
    def shards(self) -> int:
        """How many shards it covers: a receipt is due for each."""
        return sum(stop - first for first, stop in self.stretches)


def restored(cls: type[T], row: Any) -> T:
    """The object that a row is of: a process that did not know its class has read it as another one."""
    if isinstance(row, cls):
        return row
    return cls(**{field.name: getattr(row, field.name) for field in fields(cls)})  # type: ignore[arg-type]
