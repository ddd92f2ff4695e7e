"""Open the links that a job names: one shared object a link and process."""

from __future__ import annotations

from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.shared import SharedLink
from skyhaul_schemas.job import Job


def open_links(job: Job, epoch: float) -> dict[str, SharedLink]:
    """By name, those that a source goes over; `epoch` is Unix seconds. Raises UsageError where a preset,
    contact plan or trace is wrong or missing."""
    used = {via for spec in job.sources.values() for via in spec.via}
    clock = MonotonicClock(epoch)
    return {name: SharedLink.from_spec(name, spec, clock) for name, spec in job.links.items() if name in used}


def check_links(job: Job) -> None:
    """Raise UsageError where any link of the job, used or not, cannot be opened: before anything is
    listed or hauled, and not on a worker."""
    clock = MonotonicClock(0.0)
    for name, spec in job.links.items():
        SharedLink.from_spec(name, spec, clock)
