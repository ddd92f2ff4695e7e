"""Accounts for a worker's links while it hauls.

It settles with the ledger, obeys rates that are set from outside and by the hour, calls overflow links in,
and publishes what the links do.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from skyhaul.hauling.links import files
from skyhaul_connectors.links.contract.deadline import (
    LinkOutlook,
    ObservedRate,
    OverflowDecision,
    capacity,
)
from skyhaul_connectors.links.contract.ledger import Ledger
from skyhaul_connectors.links.contract.ledger_marks import LedgerMarks
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.transfer.engine_thread import EngineThread
from skyhaul_connectors.transfer.stats import EngineStats
from skyhaul_schemas.errors import DeferredError, LedgerUnwritable, StorageError
from skyhaul_schemas.job.link_terms import parse_pace
from skyhaul_schemas.units import NotAllowed

PERIOD = 0.25
"""Seconds between two looks. Chosen, not measured; `links --set` promises a second."""

_SECOND = 1.0
"""Seconds between two of what costs more than a look: marks beside the ledger, `links.json`, the forecast."""

LEAST_LEASE = 2 * 1024 * 1024
LEASE_SECONDS = 2.0
"""A lease covers what was asked for, and this long of what comes, or `LEAST_LEASE` bytes. Chosen, not
measured: hauls side by side should not hold a cap's last bytes from one another."""
_LOWERED = 0.9
"""A rate below this share of the one before takes effect by new connections: what had been asked for at the
old one would go on coming for seconds. Chosen, not measured."""


class _Metering:
    """One link's account, and what of its bytes the ledger knows."""

    def __init__(self, shared: SharedLink, path: Path, spool: Path) -> None:
        assert shared.rules is not None
        assert shared.rules.allowance is not None
        self._shared = shared
        self._terms = shared.rules.terms
        self._allowance = shared.rules.allowance
        self._ledger = Ledger(path)
        self._marks = LedgerMarks(path, spool)
        self._noted = float("-inf")
        self._counted = 0
        self._free = 0
        self._leased = 0
        self._cycle = ""
        self._at = time.monotonic()
        self._rate = 0.0

    def settle(self, *, last: bool = False) -> None:
        """Raises StorageError. `last`: lease nothing more."""
        allowance = self._allowance
        counted, free = allowance.counted, allowance.free
        now = time.monotonic()
        new = counted - self._counted
        cycle = self._terms.cycle(time.time()).name
        passed = now - self._at
        if not last and self._cycle == cycle and passed < _SECOND and new < self._leased / 4:
            return
        if passed > 0:
            self._rate = max(new / passed, self._rate / 2)
        want = 0 if last else allowance.promised + max(LEAST_LEASE, round(LEASE_SECONDS * self._rate))
        cap = self._terms.cap.bytes if self._terms.cap is not None else None
        if not last and not new and free == self._free and self._cycle == cycle and not allowance.exhausted:
            self._at = now
            return
        grant = self._ledger.settle(
            self._terms.account, cycle, counted=new, free=free - self._free, want=want, cap=cap
        )
        self._counted, self._free, self._leased = counted, free, grant.bytes
        self._cycle, self._at = cycle, now
        if cap is not None:
            allowance.limit = counted + grant.bytes
            allowance.exhausted = grant.last
        if last or now - self._noted >= _SECOND:
            self._noted = now
            self._marks.note(self._terms.account, cycle, self._ledger.used(self._terms.account, cycle))

    def left(self) -> float:
        """Bytes that the cap leaves in this cycle."""
        if self._terms.cap is None:
            return math.inf
        used = self._ledger.used(self._terms.account, self._cycle)
        return max(0.0, self._terms.cap.bytes - used.counted)

    def close(self) -> None:
        with suppress(StorageError):
            self.settle(last=True)
            self._ledger.close()


class LinkAccounting:
    """A thread of a worker's.

    Args:
        links: Those of the job that a source goes over.
        engine: What carries bytes over them.
        ledger: Counts the bytes of metered links; None where no link is metered.
        folder: The spool folder, where what the links do is published and rates are set.
        run: The haul's id.
        groups: For sources that share links, those links, and the source bytes that were left when the haul
            began.
        due: When the haul should be done (Unix seconds); None without a deadline.
        stop: Stops the haul where bytes can no longer be counted.

    Raises:
        StorageError: The ledger cannot be used.
    """

    def __init__(
        self,
        links: Mapping[str, SharedLink],
        engine: EngineThread,
        *,
        ledger: Path | None,
        folder: Path,
        run: str,
        groups: list[tuple[frozenset[str], int]],
        due: float | None,
        stop: Callable[[DeferredError], None],
    ) -> None:
        self._links = {name: link for name, link in links.items() if link.rules is not None}
        self._engine = engine
        self._folder = folder
        self._run = run
        self._groups = [(group, left, OverflowDecision()) for group, left in groups]
        self._due = due
        self._stop = stop
        self._rates = {name: self._rate_of(link) for name, link in self._links.items()}
        self._seen = {name: ObservedRate(_stated(link)) for name, link in self._links.items()}
        self._next_second = 0.0
        self._over = threading.Event()
        files.remove(folder)
        self._metered: dict[str, _Metering] = {}
        for name, link in self._links.items():
            if link.rules is not None and link.rules.allowance is not None:
                assert ledger is not None, "a link with an allowance is metered"
                self._metered[name] = _Metering(link, ledger, folder.parent)
                self._metered[name].settle()
        self._look_ahead(engine.stats())
        self._thread = threading.Thread(target=self._account, name="skyhaul-links", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Settle for the last time; the engine must have stopped."""
        self._over.set()
        self._thread.join(5.0)
        for metering in self._metered.values():
            metering.close()
        files.remove(self._folder)

    # -- inside

    def _account(self) -> None:
        try:
            self._account_on()
        except Exception as error:  # noqa: BLE001  # ends the haul: links would go on uncounted, at old rates
            bug = error
            self._engine.post(lambda engine: engine.crash(bug))

    def _account_on(self) -> None:
        while not self._over.wait(PERIOD):
            try:
                for metering in self._metered.values():
                    metering.settle()
            except StorageError as error:
                self._stop(LedgerUnwritable(f"{error}; what links carry cannot be counted"))
                return
            self._obey()
            if time.monotonic() >= self._next_second:
                self._next_second = time.monotonic() + _SECOND
                with suppress(StorageError):
                    stats = self._engine.stats()
                    self._look_ahead(stats)
                    self._publish(stats)

    def _obey(self) -> None:
        """Take over rates that were set, and those of the hour."""
        wished = files.read(self._folder, files.RATES)
        for name, link in self._links.items():
            assert link.rules is not None
            link.rules.override = _wish(wished.get(name))
            rate = self._rate_of(link)
            before = self._rates[name]
            if rate != before:
                self._rates[name] = rate
                if rate > 0:
                    self._engine.set_pace(name, rate, redial=rate < _LOWERED * before)

    def _look_ahead(self, stats: EngineStats) -> None:
        """Decide whether overflow links are needed."""
        now = time.time()
        for name, link in stats.links.items():
            if name in self._seen:
                self._seen[name].saw(
                    time.monotonic(), link.goodput, working=link.state != "closed" and stats.backlog > 0
                )
        if self._due is None:
            return
        for group, at_first, help_in in self._groups:
            arrived = sum(link.payload_bytes for name, link in stats.links.items() if name in group)
            if len(self._groups) == 1:
                arrived += stats.resumed_bytes
            primaries = [self._prospect(n) for n in group if self._role(n) == "primary"]
            needed = help_in.look(capacity(primaries, now, self._due), at_first - arrived)
            for name in group:
                rules = self._links[name].rules
                if rules is not None:
                    rules.needed = needed

    def _role(self, name: str) -> str:
        rules = self._links[name].rules
        return rules.terms.role if rules is not None else "primary"

    def _prospect(self, name: str) -> LinkOutlook:
        link = self._links[name]
        assert link.rules is not None
        metering = self._metered.get(name)
        left = math.inf if metering is None else metering.left()
        return LinkOutlook(self._seen[name].rate, link.rules.terms, link.plan, link.clock.epoch, left)

    def _rate_of(self, link: SharedLink) -> float:
        assert link.rules is not None
        return link.rules.rate(time.time())

    def _publish(self, stats: EngineStats) -> None:
        links: dict[str, Any] = {}
        for name, link in self._links.items():
            seen = stats.links.get(name)
            if seen is None or link.rules is None:
                continue
            state = link.state()
            until = link.clock.epoch + state.until if state.closure is None else state.closure.until
            known = seen.state == "closed" and math.isfinite(until)
            links[name] = {
                "state": seen.state,
                "reason": None if state.closure is None else state.closure.reason,
                "until": until if known else None,
                "rate": self._rates[name] if math.isfinite(self._rates[name]) else None,
                "set": link.rules.override,
                "goodput": seen.goodput,
                "channels": seen.channels,
                "payload_bytes": seen.payload_bytes,
                "wire_bytes": seen.wire_bytes,
                "resent_bytes": seen.resent_bytes,
                "outages": seen.outages,
                "needed": link.rules.needed,
            }
        files.write(self._folder, files.STATE, {"run": self._run, "at": time.time(), "links": links})


def _stated(link: SharedLink) -> float | None:
    rate = link.profile.payload_rate
    return rate if math.isfinite(rate) else None


def _wish(text: object) -> float | None:
    try:
        return None if text is None else parse_pace(text)
    except NotAllowed:
        return None
