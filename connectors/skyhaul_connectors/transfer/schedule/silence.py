"""When a lane is too quiet, and how it is then probed. Sans-I/O; seconds, `now` is an argument.

A lane with ranges in flight and no byte for a second is *silent*: it is probed with new connections, and
when one opens, the channels that stayed silent are dropped and opened anew, since waiting for a TCP stream
that backs off costs seconds. Each alarm that brought nothing makes the next one wait longer.
"""

from __future__ import annotations

from skyhaul_connectors.transfer.schedule.pace import Estimate

FIRST_SILENCE, LONGEST_SILENCE = 1.0, 64.0
"""Seconds without a byte before a lane is probed; each false alarm doubles it. The first is what the goal of
new bytes within two round trips and a second of an outage's end allows (`test_link_sharing`); the longest is
chosen, not measured."""

LONG_SILENCE = 3.0
"""Seconds after the alarm from which on a byte that comes by itself ends an outage and is no false alarm.
Chosen, not measured."""

PROBE_EVERY, SLOWEST_PROBE, PROBES = 0.25, 5.0, 4
"""Seconds between probes at first and after a long silence (a 120th of the silence in between), and how many
are out at once. The first is a part of the same second; the others are chosen, not measured."""


class SilenceAlarm:
    """The silence of one lane.

    Attributes:
        alive_at: When the last sign of life came; -inf before the first.
        since: Since when the lane is silent; None while it is not.
        outages: How often it fell silent after it had been alive.
    """

    def __init__(self) -> None:
        self.alive_at = float("-inf")
        self.since: float | None = None
        self.outages = 0
        self._waiting_since = 0.0
        self._patience = FIRST_SILENCE

    def heard(self, now: float) -> None:
        """Note a sign of life: a byte, an answer or a connection."""
        self.alive_at = now

    def waits(self, now: float) -> None:
        """A range was asked for while none was in flight: silence counts from here at the earliest."""
        self._waiting_since = now

    def due(self, estimate: Estimate) -> float | None:
        """When the lane becomes silent if no byte comes; None while it is. Something is in flight."""
        if self.since is not None:
            return None
        return max(self.alive_at, self._waiting_since) + self.threshold(estimate)

    def threshold(self, estimate: Estimate) -> float:
        """Seconds without a byte that make a lane silent."""
        # Chosen, not measured. Before the first answer five of geo's round trips. After it 1.3 s on geo; on a
        # path whose slow round trips take less than 0.4 s the first second holds.
        if estimate.rtt is None:
            return max(3.0, self._patience)
        return max(self._patience, 1.5 * estimate.slow_rtt + 0.4)

    def probe_interval(self, now: float) -> float:
        """Seconds from one probe to the next."""
        since = now if self.since is None else self.since
        return min(SLOWEST_PROBE, max(PROBE_EVERY, (now - since) / 120))

    def begin(self, now: float) -> None:
        """Begin the silence."""
        self.since = now
        if self.alive_at > float("-inf"):
            self.outages += 1

    def end(self) -> None:
        """A byte came by itself, or a probe got through. The next alarm waits twice as long."""
        # After an outage, too, until a range comes whole: a link that drops everything after the handshake
        # would otherwise be dropped and opened anew each second.
        self.since = None
        self._patience = min(LONGEST_SILENCE, 2 * self._patience)

    def reset_backoff(self) -> None:
        """A range came through whole: silence is worth an alarm after a second again."""
        self._patience = FIRST_SILENCE
