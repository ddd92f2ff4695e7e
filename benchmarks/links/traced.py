"""skyhaul's command line, with a note of when new payload reached its spool.

    python traced.py TRACE COMMAND...

The receiver's counters see second copies too; what a haul is over with is its last new byte. TRACE gets
JSON: `bytes`, a list of (seconds of the monotonic clock, new payload bytes so far), and `engine`, a list of
(seconds, open channels, bytes asked for and not in, round trip, rate) a few times a second.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from skyhaul_connectors.transfer.intervals import Stretch
from skyhaul_connectors.transfer.schedule.fetch_task import Action, RangeInFlight
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler

_STEP = 0.005
_LOOK = 0.1


class Trace:
    """Wraps the scheduler's `received` and `decide`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bytes: list[list[float]] = []
        self._total = 0
        self._engine: list[list[float | None]] = []
        self._looked = 0.0
        received, decide = SourceScheduler.received, SourceScheduler.decide

        def noting_received(
            scheduler: SourceScheduler, ask: RangeInFlight, count: int, now: float
        ) -> list[Stretch]:
            fresh = received(scheduler, ask, count, now)
            self._note(sum(stop - start for start, stop in fresh))
            return fresh

        def noting_decide(scheduler: SourceScheduler, now: float) -> list[Action]:
            actions = decide(scheduler, now)
            self._look(scheduler)
            return actions

        SourceScheduler.received = noting_received  # type: ignore[method-assign, assignment]  # wraps it
        SourceScheduler.decide = noting_decide  # type: ignore[method-assign, assignment]  # wraps it

    def write(self) -> None:
        self._path.write_text(json.dumps({"bytes": self._bytes, "engine": self._engine}))

    def _note(self, count: int) -> None:
        if not count:
            return
        self._total += count
        now = time.monotonic()
        if self._bytes and now - self._bytes[-1][0] < _STEP and len(self._bytes) > 1:
            # The entry's time moves with its last byte, so that the end is exact.
            previous = self._bytes[-2][0]
            if now - previous < _STEP:
                self._bytes[-1] = [now, self._total]
                return
        self._bytes.append([now, self._total])

    def _look(self, scheduler: SourceScheduler) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        for lane in scheduler.lanes:
            estimate = lane.estimate
            self._engine.append(
                [now, lane.open_channels, lane.outstanding, estimate.rtt, estimate.rate, lane.in_flight_count,
                 scheduler.missing, lane.depth, estimate.meter.total]
            )  # fmt: skip


def main() -> None:
    from skyhaul.cli.main import main as program

    trace = Trace(Path(sys.argv[1]))
    sys.argv = ["skyhaul", *sys.argv[2:]]
    try:
        program()
    finally:
        trace.write()


if __name__ == "__main__":
    main()
