"""Open the links that a job names: one shared object a link and process."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

from skyhaul.dataset.store import DatasetStore
from skyhaul.haul.store_board import StoreBoard
from skyhaul_connectors.links.clock import Clock, MonotonicClock
from skyhaul_connectors.links.leases import LeaseSharing
from skyhaul_connectors.links.ledger import Ledger, default_ledger
from skyhaul_connectors.links.redis_slots import RedisSlots
from skyhaul_connectors.links.shared import SharedLink
from skyhaul_connectors.links.sharing import Sharing
from skyhaul_connectors.links.slots import SlotSharing
from skyhaul_connectors.links.terms import LinkTerms
from skyhaul_schemas.errors import StorageError, UsageError
from skyhaul_schemas.job import Job, LinkSpec
from skyhaul_schemas.storage_errors import from_the_start


def open_links(job: Job, epoch: float, store: DatasetStore) -> dict[str, SharedLink]:
    """By name, those that a source goes over; `epoch` is Unix seconds. store: the dataset's, where workers
    divide links. Raises UsageError where a preset, contact plan or trace is wrong or missing."""
    used = {via for spec in job.sources.values() for via in spec.via}
    clock = MonotonicClock(epoch)
    return {
        name: SharedLink.from_spec(name, spec, clock, _sharing(name, spec, clock, store))
        for name, spec in job.links.items()
        if name in used
    }


def _sharing(name: str, spec: LinkSpec, clock: Clock, store: DatasetStore) -> Sharing | None:
    """How this worker comes by its part of the link; None where it has it to itself."""
    if spec.shared is None:
        return None
    if spec.shared == "store":
        return LeaseSharing(StoreBoard(store, name), uuid.uuid4().hex[:16], clock.epoch, clock.now)
    return SlotSharing(RedisSlots(name, spec.shared), clock.now)


def check_links(job: Job) -> None:
    """Raise UsageError where any link of the job, used or not, cannot be opened: before anything is
    listed or hauled, and not on a worker."""
    clock = MonotonicClock(0.0)
    for name, spec in job.links.items():
        SharedLink.from_spec(name, spec, clock)


def ledger_path(job: Job, env: Mapping[str, str]) -> Path:
    """Where the bytes of links with a cap or a price are counted. Raises UsageError where that is nowhere."""
    if job.ledger is not None:
        return Path(job.ledger)
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry of this user in passwd
        state = env.get("XDG_STATE_HOME")
        if not (state and Path(state).is_absolute()):
            raise UsageError(
                "the ledger of links with a cap or a price has no place: there is no XDG_STATE_HOME and no"
                f" HOME, and user {os.getuid()} has no entry in passwd; set one of the two, or name a file"
                " with the job's `ledger`"
            ) from None
        home = Path(state)
    return default_ledger(env.get("XDG_STATE_HOME"), home)


def check_ledger(job: Job, env: Mapping[str, str]) -> None:
    """Raises UsageError where the job needs a ledger and its file cannot be one."""
    used = {via for spec in job.sources.values() for via in spec.via}
    if any(LinkTerms.of(name, spec).metered for name, spec in job.links.items() if name in used):
        try:
            Ledger(ledger_path(job, env)).close()
        except StorageError as error:
            raise from_the_start(error) from error
