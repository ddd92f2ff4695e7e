"""Reads a frozen snapshot off a running engine, on its loop's thread."""

from __future__ import annotations

import math
from typing import Literal

from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.transfer.engine import TransferEngine
from skyhaul_connectors.transfer.schedule.lane import LaneState
from skyhaul_connectors.transfer.stats import EngineStats, LinkStats, SourceStats

LEAST_LOW_WATER = 32 * 1024 * 1024
"""Bytes of backlog that are kept at least, while no rate is known. Chosen, not measured."""

LOW_WATER_SECONDS = 4.0
"""Seconds of goodput that the backlog holds at least: several round trips of the slowest link (geo, 0.6 s),
and the time to claim a shard and open its spool file. Chosen, not measured on its own; the hauls of
docs/transfer.md, where links stay full from shard to shard, are run with it."""


def snapshot(engine: TransferEngine, now: float) -> EngineStats:
    """A snapshot of the engine; `now` is the loop's time (seconds)."""
    lanes: dict[str, list[LaneState]] = {}
    shared: dict[str, SharedLink | None] = {}
    for driver in engine.drivers.values():
        for lane, state in zip(driver.lanes.lanes, driver.scheduler.lanes, strict=True):
            lanes.setdefault(lane.link, []).append(state)
            shared[lane.link] = lane.shared
    sources = {name: _source(engine, name, now) for name in engine.drivers}
    links = {name: _link(states, shared[name], now) for name, states in lanes.items()}
    goodput = sum(link.goodput for link in links.values()) / 8
    return EngineStats(
        links=links,
        backlog=engine.backlog(),
        resumed_bytes=engine.resumed_bytes,
        spool_bytes=engine.spool_bytes,
        low_water=max(LEAST_LOW_WATER, round(LOW_WATER_SECONDS * goodput)),
        sources=sources,
    )


def _source(engine: TransferEngine, name: str, now: float) -> SourceStats:
    scheduler = engine.drivers[name].scheduler
    goodput = sum(lane.estimate.meter.rate(now) for lane in scheduler.lanes)
    return SourceStats(
        arrived_bytes=engine.resumed[name] + sum(lane.counts.payload for lane in scheduler.lanes),
        rate=scheduler.rate,
        min_rate=scheduler.min_rate,
        waits=scheduler.missing > 0,
        low_water=max(LEAST_LOW_WATER, round(LOW_WATER_SECONDS * goodput)),
    )


def _link(states: list[LaneState], shared: SharedLink | None, now: float) -> LinkStats:
    phase: Literal["up", "down", "closed", "standby"] = "up"
    capacity: float | None = None
    changes_in: float | None = None
    if shared is not None:
        at = shared.clock.now()
        state = shared.state(at)
        phase = state.phase.value
        rate = shared.rate(at)
        capacity = rate if math.isfinite(rate) else None
        changes_in = state.until - at if math.isfinite(state.until) else None
    if phase == "up" and any(lane.silent for lane in states):
        phase = "down"
    if phase != "closed" and all(lane.standby for lane in states):
        phase = "standby"
    rtts = [lane.estimate.rtt for lane in states if lane.estimate.rtt is not None]
    return LinkStats(
        payload_bytes=sum(lane.counts.payload for lane in states),
        wire_bytes=sum(lane.counts.wire for lane in states),
        resent_bytes=sum(lane.counts.resent for lane in states),
        goodput=8 * sum(lane.estimate.meter.rate(now) for lane in states),
        capacity=capacity,
        channels=sum(lane.open_channels for lane in states),
        state=phase,
        changes_in=changes_in,
        # An emulated link knows its outages, and lanes see the same ones as silence: never both counted.
        outages=max(
            sum(lane.silence.outages for lane in states), shared.times().outages if shared is not None else 0
        ),
        rtt=min(rtts) if rtts else None,
    )
