"""The cases: a link, a sender, files, and what a haul must and should reach there.

Rates in bit/s, times in seconds, sizes in bytes. The links are linklab's profiles, whose figures stand here
once more for the arithmetic of what is physically possible.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

MIB = 1024 * 1024

WIRE = "wire"
"""The profile of a link that the kernel shapes itself, by a token bucket whose queue is one round trip long:
linkemu needs a core of its own from some hundred Mbit/s on."""

SEGMENT, PACKET = 1448, 1500
"""Payload of a full packet over Ethernet's MTU (with TCP time stamps), and the packet, as the rate counts."""


@dataclass(frozen=True, slots=True)
class LinkKind:
    """profile and keys: for linkemu. down: rate. loss: share of packets. outage: (period, length, first
    start) or None."""

    profile: str
    down: float
    rtt: float
    loss: float
    keys: tuple[str, ...] = ()
    outage: tuple[float, float, float] | None = None

    @property
    def payload_rate(self) -> float:
        """What can arrive, in bit/s, while the link is up."""
        return self.down * SEGMENT / PACKET * (1 - self.loss)

    def is_down(self, at: float) -> bool:
        if self.outage is None:
            return False
        period, length, first = self.outage
        return at >= first and math.fmod(at - first, period) < length

    def shortest(self, size: int, start: float) -> float:
        """Seconds that `size` bytes take at least from `start` of the link's clock on."""
        left, at, step = size * 8 / self.payload_rate, start, 0.001
        if self.outage is None:
            return left
        while left > 0:
            if not self.is_down(at):
                left -= step
            at += step
        return at - start


LEO = LinkKind("leo", 200e6, 0.045, 0.004)
GEO = LinkKind("geo", 50e6, 0.6, 0.01)
INTERMITTENT = LinkKind(
    "leo-intermittent", 200e6, 0.045, 0.004, ("outevery=20,5,8",), outage=(20.0, 5.0, 8.0)
)
"""The first outage comes late enough for a program's start-up: every contender meets it under way."""
LOSSY = LinkKind(
    "clean",
    50e6,
    0.2,
    0.10,
    ("down.rate=50M", "up.rate=5M", "rtt=200", "queue=200ms", "loss=0", "down.loss=10"),
)
FAST = LinkKind("clean", 1e9, 0.05, 0.0, ("rtt=50", "queue=50ms"))
FAST_WIRE = LinkKind(WIRE, 1e9, 0.05, 0.0)


@dataclass(frozen=True, slots=True)
class Case:
    """files: (how many, bytes of each). floor, goal: shares of the physical limit, None where none is set.
    wire: delivered bytes over payload, at most. mode: `plain`, `tls`, `s3` (signed ranges from an S3 server),
    `kill` (killed half-way and run again), `die` (the first link dies for good at 30 %). second: a further
    link to the same server."""

    name: str
    link: LinkKind
    sender: str
    files: tuple[int, int]
    floor: float | None = None
    goal: float | None = None
    wire: float = 1.08
    mode: str = "plain"
    second: LinkKind | None = None
    peers: tuple[str, ...] = field(default=("aria2", "curl", "rclone", "lftp"))

    @property
    def size(self) -> int:
        return self.files[0] * self.files[1]

    def shortest(self, start: float) -> float:
        """Seconds that the files take at least from `start` of the links' clock on."""
        if self.second is None:
            return self.link.shortest(self.size, start)
        return self.size * 8 / (self.link.payload_rate + self.second.payload_rate)


CASES = (
    Case("leo-bbr-256", LEO, "bbr", (1, 256 * MIB), 0.92, 0.96),
    Case("leo-cubic-64", LEO, "cubic", (1, 64 * MIB), 0.92, 0.95, 1.12),
    Case("leo-cubic-256", LEO, "cubic", (1, 256 * MIB), 0.92, 0.95),
    Case("geo-bbr-64", GEO, "bbr", (1, 64 * MIB), 0.80, 0.88, 1.12),
    Case("geo-bbr-256", GEO, "bbr", (1, 256 * MIB), 0.80, 0.95),
    Case("geo-cubic-16", GEO, "cubic", (1, 16 * MIB), 0.62, 0.72, 1.12),
    Case("geo-cubic-64", GEO, "cubic", (1, 64 * MIB), None, 0.92, 1.12),
    Case("intermittent-bbr-256", INTERMITTENT, "bbr", (1, 256 * MIB), 0.90, 0.96),
    Case("intermittent-cubic-256", INTERMITTENT, "cubic", (1, 256 * MIB), 0.90, 0.96),
    Case("small-leo", LEO, "cubic", (2000, 20_000), None, 0.90, 1.12),
    Case("small-geo", GEO, "cubic", (500, 20_000), None, 0.56, 1.12),
    Case("lossy-cubic-64", LOSSY, "cubic", (1, 64 * MIB), None, 0.85, 1.12),
    Case("gigabit", FAST, "cubic", (4, 256 * MIB), None, 0.95),
    Case("gigabit-wire", FAST_WIRE, "cubic", (4, 256 * MIB), None, 0.95),
    Case("tls-leo-cubic-64", LEO, "cubic", (1, 64 * MIB), None, 0.95, 1.12, "tls", peers=("curl",)),
    Case("tls-geo-cubic-64", GEO, "cubic", (1, 64 * MIB), None, 0.92, 1.12, "tls", peers=("curl",)),
    Case("s3-leo-cubic-64", LEO, "cubic", (1, 64 * MIB), None, 0.95, 1.12, "s3", peers=()),
    Case("s3-geo-cubic-64", GEO, "cubic", (1, 64 * MIB), None, 0.92, 1.12, "s3", peers=()),
    Case("kill-leo", LEO, "cubic", (1, 256 * MIB), mode="kill", peers=()),
    Case("kill-geo", GEO, "cubic", (1, 64 * MIB), mode="kill", peers=()),
    Case("leo+geo-bbr-256", LEO, "bbr", (1, 256 * MIB), None, 0.90, second=GEO, peers=()),
    Case("leo+geo-leo-dies", LEO, "bbr", (1, 64 * MIB), mode="die", second=GEO, peers=()),
)
"""One job setting serves all of them: `max_connections: 256`."""


def named(name: str) -> Case:
    """Raises KeyError."""
    return {case.name: case for case in CASES}[name]
