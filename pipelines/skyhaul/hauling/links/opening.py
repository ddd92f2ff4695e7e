"""Open the links that a job names: one shared object a link and process."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.links.store_board import StoreBoard
from skyhaul_connectors.links.clock import Clock, MonotonicClock
from skyhaul_connectors.links.contract.ledger import Ledger, Used, default_ledger
from skyhaul_connectors.links.contract.ledger_marks import LedgerMarks
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.links.sharing.leases import LeaseSharing
from skyhaul_connectors.links.sharing.redis_slots import RedisSlots
from skyhaul_connectors.links.sharing.sharing import Sharing
from skyhaul_connectors.links.sharing.slots import SlotSharing
from skyhaul_schemas.errors import StorageError, UsageError
from skyhaul_schemas.job.model import Job, SharingSpec
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import from_the_start
from skyhaul_schemas.units import format_size

_LOG = logging.getLogger("skyhaul.haul")


def open_links(job: Job, epoch: float, store: DatasetStore) -> dict[str, SharedLink]:
    """The links that a source goes over, by name.

    Args:
        job: The job.
        epoch: From when on emulated links and relative contacts count (Unix seconds).
        store: The dataset's, where workers divide links.

    Raises:
        UsageError: A preset, contact plan or trace is wrong or missing."""
    used = {via for spec in job.sources.values() for via in spec.via}
    clock = MonotonicClock(epoch)
    return {
        name: SharedLink.from_spec(name, spec, clock, _sharing(name, spec, clock, store))
        for name, spec in job.links.items()
        if name in used
    }


def _sharing(name: str, spec: SharingSpec, clock: Clock, store: DatasetStore) -> Sharing | None:
    """How this worker comes by its part of the link; None where it has it to itself."""
    if spec.shared is None:
        return None
    if spec.shared == "store":
        return LeaseSharing(StoreBoard(store, name), uuid.uuid4().hex[:16], clock.epoch, clock.now)
    return SlotSharing(RedisSlots(name, spec.shared), clock.now)


def check_links(job: Job) -> None:
    """Raise UsageError where any link of the job, used or not, cannot be opened.

    Asked before anything is listed or hauled, so that it is not a worker that finds out."""
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


def metered_links(job: Job) -> dict[str, LinkTerms]:
    """The terms of the links with a cap or a price that a source goes over."""
    used = {via for spec in job.sources.values() for via in spec.via}
    terms = {name: LinkTerms.of(name, spec) for name, spec in job.links.items() if name in used}
    return {name: each for name, each in terms.items() if each.metered}


def check_ledger(job: Job, env: Mapping[str, str]) -> None:
    """Open the ledger where the job needs one, and book again what it has lost, with a word.

    Raises:
        UsageError: Its file cannot be one.
        StorageError: It cannot now; it may be next time."""
    metered = metered_links(job)
    if not metered:
        return
    try:
        with closing(Ledger(ledger_path(job, env))) as ledger:
            for name, lost in lost_by_ledger(job, metered, ledger).items():
                ledger.restore(metered[name].account, metered[name].cycle(time.time()).name, lost.known)
                _LOG.warning("%s; it is counted again", lost)
    except StorageError as error:
        raise from_the_start(error) from error


@dataclass(frozen=True, slots=True)
class LostCount:
    """What a ledger has lost of a link's cycle."""

    link: str
    ledger: Path
    known: Used
    """What it once said."""
    bytes: int
    """How many of them it no longer knows."""
    marks: tuple[Path, ...]
    """The files that say so."""

    def __str__(self) -> str:
        files = " and ".join(printable(str(path)) for path in self.marks)
        return (
            f"the ledger {printable(str(self.ledger))} no longer knows {format_size(self.bytes)} that went"
            f" over link {self.link} in this cycle: it was emptied, cut or replaced (to begin anew, remove"
            f" {files})"
        )


def lost_by_ledger(job: Job, metered: Mapping[str, LinkTerms], ledger: Ledger) -> dict[str, LostCount]:
    """By link, once an account: what the ledger once said of the present cycle, and says no longer.

    Raises StorageError."""
    marks = LedgerMarks(ledger.path, Path(job.spool))
    lost: dict[str, LostCount] = {}
    seen: set[str] = set()
    for name, terms in metered.items():
        cycle = terms.cycle(time.time()).name
        if terms.account in seen:
            continue
        seen.add(terms.account)
        known, now = marks.known(terms.account, cycle), ledger.used(terms.account, cycle)
        missing = max(0, known.counted - now.counted) + max(0, known.free - now.free)
        if missing:
            lost[name] = LostCount(name, ledger.path, known, missing, tuple(marks.paths))
    return lost
