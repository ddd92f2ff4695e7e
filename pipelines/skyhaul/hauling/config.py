"""The settings of a haul: what its caller wants of it, and what of that crosses to the workers.

To the workers go references and settings; no secrets, nothing live.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class HaulConfig:
    """One haul, as every process of it sees it. Pickled by reference into the pipeline."""

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
    only: frozenset[int] | None = None
    """The shards of a replay; None for all that are pending."""
    epoch: float = 0.0
    """Wall clock (Unix seconds) from which emulated links and relative contact windows count."""
    deadline: float | None = None
    """Wall clock (Unix seconds) at which the time budget ends; None without one."""
    wait: bool = False
    """Sleep through closed contacts instead of putting shards off."""
    mend: bool = False
    """The shards of `only` are committed, with broken files; haul them again and put those right."""
    remote: bool = False
    """The workers are processes that a runner starts, several on a machine if it likes; each takes a spool
    folder that is free."""
    due: float | None = None
    """Wall clock (Unix seconds) at which the haul should be done; None without a deadline."""
    left: tuple[tuple[str, int], ...] = ()
    """(source, its bytes that were not committed when the haul began)."""
    spool: str | None = None
    """A folder of the workers' own disks, in the place of the job's."""


@dataclass(frozen=True, slots=True)
class Lot:
    """Some shards for one worker."""

    stretches: tuple[tuple[int, int], ...]
    """Ranges [first, stop) of shard numbers."""
    share: int = 1
    """How many lots divide the connections that a source allows."""
    divisible: bool = True
    """A runner may give parts of it to other workers; not where they would meet on a link that one process
    has to itself."""
