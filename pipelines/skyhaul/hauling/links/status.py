"""Looks at a job's links from outside: at what a running haul says of them, and at the ledger."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skyhaul.hauling.links import files
from skyhaul.hauling.links.opening import ledger_path, lost_by_ledger, metered_links
from skyhaul.hauling.links.view import LinkView
from skyhaul_connectors.links.contract.allowance import LEAST
from skyhaul_connectors.links.contract.ledger import Ledger, Used
from skyhaul_connectors.links.contract.ledger_marks import LedgerMarks
from skyhaul_connectors.links.contract.rules import moment
from skyhaul_connectors.links.contract.terms import LinkTerms
from skyhaul_connectors.links.profile.contact_files import load_contacts
from skyhaul_connectors.links.profile.presets import profile_from
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.link_terms import parse_pace
from skyhaul_schemas.job.model import Job, LinkSpec
from skyhaul_schemas.printable import describe
from skyhaul_schemas.units import NotAllowed

_LOG = logging.getLogger("skyhaul.haul")

AS_THE_JOB_SAYS = "job"
"""What `--set` takes in a rate's place to undo an earlier one."""


def live_folders(job: Job, plan: str | None) -> list[Path]:
    """Spool folders of this machine in which the plan is hauled now."""
    return [] if plan is None else list(files.live_folders(Path(job.spool), plan))


def link_views(job: Job, folders: Iterable[Path]) -> list[LinkView]:
    """One view for each link that a source goes over. Raises UsageError, StorageError."""
    live: dict[str, Any] = {}
    rates: dict[str, Any] = {}
    for folder in folders:
        live |= files.read(folder, files.STATE).get("links", {})
        rates |= files.read(folder, files.RATES)
    via: dict[str, list[str]] = {}
    for source, spec in job.sources.items():
        for name in spec.via:
            via.setdefault(name, []).append(source)
    ledgers = _Ledgers(job)
    try:
        return [
            _view(name, job.links[name], tuple(sources), live.get(name), rates.get(name), ledgers)
            for name, sources in via.items()
        ]
    finally:
        ledgers.close()


def set_rates(job: Job, folders: list[Path], wishes: Iterable[str]) -> None:
    """Set rates of links in the haul that runs: within a second, and until it ends.

    Args:
        job: The job.
        folders: Spool folders in which it is hauled.
        wishes: Such as `leo.down=20Mbit/s`, `leo.down=off`, or `leo.down=job` for what the job says.

    Raises:
        UsageError: A wish is none, or no haul runs.
        StorageError: It cannot be written down."""
    links = {name for spec in job.sources.values() for name in spec.via}
    changes: dict[str, str | None] = {}
    for wish in wishes:
        key, equals, value = wish.partition("=")
        name, dot, field = key.rpartition(".")
        if not equals or not dot or field != "down":
            raise UsageError(f"--set {describe(wish)}: write NAME.down=RATE, such as leo.down=20Mbit/s")
        if name not in links:
            known = ", ".join(sorted(links)) or "the job has no links"
            raise UsageError(f"--set {describe(wish)}: no source goes over such a link; there are: {known}")
        if value != AS_THE_JOB_SAYS:
            try:
                parse_pace(value)
            except NotAllowed as error:
                raise UsageError(
                    f"--set {describe(wish)}: allowed: {error.allowed}, off, or job for what the job says"
                ) from None
        changes[name] = None if value == AS_THE_JOB_SAYS else value
    if not folders:
        raise UsageError(
            "--set changes a haul that runs, and none of this job runs on this machine;"
            " change `down` in the job file instead"
        )
    for folder in folders:
        rates = {**files.read(folder, files.RATES), **changes}
        files.write(folder, files.RATES, {k: v for k, v in rates.items() if v is not None})


class _Ledgers:
    """The ledger, opened when it is first needed, and only if it is there."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._ledger: Ledger | None = None

    def used(self, account: str, cycle: str) -> Used:
        if self._ledger is None:
            path = ledger_path(self._job, os.environ)
            if not path.exists() and not any(mark.exists() for mark in _marks(self._job, path)):
                return Used()
            self._ledger = Ledger(path)
            for lost in lost_by_ledger(self._job, metered_links(self._job), self._ledger).values():
                _LOG.warning("%s; the next haul counts it again", lost)
        return self._ledger.used(account, cycle)

    def close(self) -> None:
        if self._ledger is not None:
            self._ledger.close()


def _marks(job: Job, ledger: Path) -> list[Path]:
    return LedgerMarks(ledger, Path(job.spool)).paths


def _view(
    name: str,
    spec: LinkSpec,
    sources: tuple[str, ...],
    live: Mapping[str, Any] | None,
    wished: Any,
    ledgers: _Ledgers,
) -> LinkView:
    now = time.time()
    terms = LinkTerms.of(name, spec)
    money: dict[str, Any] = {}
    left = math.inf
    if terms.metered:
        cycle = terms.cycle(now)
        used = ledgers.used(terms.account, cycle.name)
        cap = terms.cap.bytes if terms.cap is not None else None
        left = math.inf if cap is None else max(0, cap - used.counted)
        money = {
            "cycle_start": cycle.start,
            "cycle_end": cycle.end,
            "cap_bytes": cap,
            "counted_bytes": used.counted,
            "free_bytes": used.free,
            "leased_bytes": used.leased,
            "left_bytes": None if cap is None else round(left),
            "cost": terms.cost(used.counted),
            "currency": terms.price.currency if terms.price is not None else "",
        }
    state, reason, until = _idle(spec, terms, left, now)
    rate = terms.rate(now)
    if rate is None:
        profile = profile_from(spec, name)
        rate = profile.down
    if live is not None:
        state, reason, until = live["state"], live["reason"], live["until"]
    return LinkView(
        name=name,
        sources=sources,
        role=terms.role,
        emulate=spec.emulate,
        state=state,
        reason=reason,
        until=until,
        rate=rate if math.isfinite(rate) else None,
        set_to=None if wished is None else parse_pace(wished),
        goodput=None if live is None else live["goodput"],
        payload_bytes=None if live is None else live["payload_bytes"],
        account=terms.account,
        **money,
    )


def _idle(spec: LinkSpec, terms: LinkTerms, left: float, now: float) -> tuple[str, str | None, float | None]:
    """State, reason and opening of a link that no haul uses now, as far as they are known."""
    if terms.rate(now) == 0:
        opens = terms.opens_at(now)
        return "closed", f"its hours are over until {moment(opens)}", opens if opens < math.inf else None
    if left < LEAST and not terms.is_free(now):
        opens = min(terms.cycle(now).end, terms.free.next_change(now))
        return "closed", f"its cap of {terms.cap} is used up until {moment(opens)}", opens
    if spec.contacts is not None:
        table = load_contacts(spec.contacts)
        if not all(contact.absolute for contact in table.contacts):
            return "idle", "its contacts are counted from the start of the next haul", None
        opens = table.since(0.0).next_opening(now)
        if opens > now:
            return "closed", f"the next contact begins {moment(opens)}", opens if opens < math.inf else None
    return "idle", None, None
