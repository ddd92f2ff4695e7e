"""What a link is like, as a frozen value. Rates in bit/s at the IP layer, times in seconds."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from skyhaul_connectors.links.profile.contacts import ContactTable
from skyhaul_connectors.links.profile.quantiles import Quantiles
from skyhaul_connectors.links.profile.trace import DelayTrace, RateTrace

Sender = Literal["paced", "cubic"]
"""How servers at the far end send. `paced`: at the link's rate whatever is lost (BBR comes close).
`cubic`: a window a stream, halved by each loss; its rate obeys 1.22·MSS/(RTT·√p) (Mathis et al. 1997)."""


@dataclass(frozen=True, slots=True)
class Episodes:
    """Random stretches of trouble: a Poisson process.

    Attributes:
        per_hour: How many begin in an hour, on average.
        lasts: Their length in seconds.
        down: The share (0 to 1) of the rate towards us that is left meanwhile.
        up: The same of the other direction. Both 0 is an outage.
    """

    per_hour: float
    lasts: Quantiles
    down: float = 0.0
    up: float = 0.0

    @property
    def is_outage(self) -> bool:
        return self.down == 0 and self.up == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProfile:
    """One link.

    Attributes:
        down: bit/s towards us, headers included; math.inf: not limited.
        up: The same of the other direction.
        rtt: Seconds of a round trip.
        jitter: Seconds: a round trip takes up to so much more, evenly drawn.
        loss: Share (0 to 0.5) of the packets towards us that are lost.
        loss_up: The same of the other direction.
        burst: Packets lost in a row, on average (Gilbert 1960, whose bad state loses all).
        rate_quantiles: How `down` varies: drawn anew every `vary_every` seconds and taken relative to its
            median, so that `down` stays the median.
        up_quantiles: The same of `up`, at the same share of all draws.
        rtt_quantiles: The same of `rtt`, drawn on its own.
        vary_every: Seconds between two draws of them.
        handover_every: Seconds from one handover to the next; 0: none.
        handover_gap: Seconds of silence in each.
        handover_spike: Seconds that the round trip takes longer afterwards.
        spike_lasts: Seconds for which it does.
        outages: Fixed ones as (start, length), seconds since the epoch.
        episodes: Random ones.
        reset: Share of losses after which the connection is gone.
        sender: How servers at the far end send; see `Sender`.
        contacts: When the link is open; None: always.
        trace: A measured rate, in place of `down`.
        delay_trace: A measured one-way delay, in place of `rtt`.
        mtu: Bytes of a full packet.
        overhead: Bytes of its IP and TCP headers (40, and 12 of timestamps: RFC 9293, RFC 7323).
        note: What the preset says of itself.
    """

    down: float
    up: float
    rtt: float
    jitter: float = 0.0
    loss: float = 0.0
    loss_up: float = 0.0
    burst: float = 1.0
    rate_quantiles: Quantiles | None = None
    up_quantiles: Quantiles | None = None
    rtt_quantiles: Quantiles | None = None
    vary_every: float = 1.0
    handover_every: float = 0.0
    handover_gap: float = 0.0
    handover_spike: float = 0.0
    spike_lasts: float = 1.0
    outages: tuple[tuple[float, float], ...] = ()
    episodes: tuple[Episodes, ...] = ()
    reset: float = 0.0
    sender: Sender = "paced"
    contacts: ContactTable | None = None
    trace: RateTrace | None = None
    delay_trace: DelayTrace | None = None
    mtu: int = 1500
    overhead: int = 52
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("down", "up"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0")
        for name in ("rtt", "jitter", "handover_every", "handover_gap", "handover_spike", "spike_lasts"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be 0 or more")
        for name in ("loss", "loss_up", "reset"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0 and 1")
        if self.loss > 0.5 or self.loss_up > 0.5:
            # Each resent packet is drawn anew (`Downlink._resend`), so that a share near 1 would hardly ever
            # end.
            raise ValueError("a link that loses more than half of its packets carries no stream")
        if self.burst < 1 or self.vary_every <= 0:
            raise ValueError("burst must be at least 1 and vary_every above 0")
        # A gap as long as its period would leave no moment at which the link is up, and `next_up` none to
        # find.
        if self.handover_gap and self.handover_gap >= self.handover_every:
            raise ValueError("handover_gap must be shorter than handover_every")
        if not 0 < self.overhead < self.mtu:
            raise ValueError("overhead must be above 0 and below mtu")
        for start, length in self.outages:
            if start < 0 or length <= 0:
                raise ValueError(f"outage {start:g}s+{length:g}s must start at 0s or later and last")

    @property
    def segment(self) -> int:
        """Payload bytes of a full packet (the MSS)."""
        return self.mtu - self.overhead

    @property
    def payload_rate(self) -> float:
        """bit/s of payload that `down` can carry at most: the physical limit."""
        return self.down * self.segment / self.mtu

    def with_(self, **changes: object) -> LinkProfile:
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]  # the dataclass checks names
