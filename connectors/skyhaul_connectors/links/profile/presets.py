"""Presets, each with the basis of its figures, and how a job file's link becomes a profile.

A figure marked *assumed* was measured by nobody; the note says so wherever a preset is shown.
`tests/links/test_presets.py` holds each preset to its published range, and to saying what is assumed.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from skyhaul_connectors.links.profile.contact_files import load_contacts
from skyhaul_connectors.links.profile.profile import Episodes, LinkProfile
from skyhaul_connectors.links.profile.quantiles import Quantiles
from skyhaul_connectors.links.profile.trace import load_delay_trace, load_rate_trace
from skyhaul_schemas.errors import UsageError, ValueRefused
from skyhaul_schemas.job.model import EmulationSpec

MBIT = 1e6

_LEO_INTERRUPTIONS = Episodes(per_hour=12, lasts=Quantiles(((0, 0.3), (0.5, 1.0), (1, 3.0))))
"""Assumed as a whole: about a second now and then."""

_RESET = 0.001
"""Share of losses that cost the connection: assumed, for want of a measurement. Above 0, so that a rehearsal
meets resets at all."""

PRESETS: dict[str, LinkProfile] = {
    "fibre": LinkProfile(
        down=120 * MBIT,
        up=17 * MBIT,
        rtt=0.014,
        note="Published medians (ookla.com).",
    ),
    "leo": LinkProfile(
        down=130 * MBIT,
        up=14 * MBIT,
        rtt=0.045,
        loss=0.0001,
        loss_up=0.0035,
        handover_every=15.0,
        handover_spike=0.040,
        episodes=(_LEO_INTERRUPTIONS,),
        reset=_RESET,
        note="Huston 2024 (delay, its 15 s spikes, loss: 0.01 % down, 0.2-0.5 % up); US median download 2026."
        " Assumed: interruptions of about 1 s, 12 an hour; spikes of 1 s; resets.",
    ),
    "leo-remote": LinkProfile(
        down=20 * MBIT,
        up=4 * MBIT,
        rtt=0.060,
        jitter=0.060,  # to the assumed 120 ms
        loss=0.015,
        loss_up=0.015,
        handover_every=15.0,
        handover_spike=0.040,
        episodes=(
            _LEO_INTERRUPTIONS,
            # Rain: what it takes is measured. How often (2.4 times a day) and how long is assumed.
            Episodes(per_hour=0.1, lasts=Quantiles(((0, 300), (0.5, 1200), (1, 3600))), down=0.62, up=0.48),
        ),
        reset=_RESET,
        note="Medians of remote regions 16-27 Mbit/s, 2026; loss 1-2 %; rain takes 38 % of down and 52 % of"
        " up (arXiv 2505.04772). Assumed: round trip of 60-120 ms, up, how often it rains, interruptions"
        " and spikes as leo, resets.",
    ),
    "leo-mobile": LinkProfile(
        down=234 * MBIT,
        up=30 * MBIT,
        rtt=0.044,
        loss=0.015,
        loss_up=0.015,
        rate_quantiles=Quantiles(((0, 10), (0.05, 33), (0.5, 234), (0.95, 401), (1, 450))),
        up_quantiles=Quantiles(((0, 3), (0.05, 7), (0.5, 30), (0.95, 55), (1, 60))),
        rtt_quantiles=Quantiles(((0, 0.030), (0.5, 0.044), (0.95, 0.080), (0.99, 0.116), (1, 0.150))),
        episodes=(
            Episodes(per_hour=38, lasts=Quantiles(((0, 0.1), (0.5, 0.8), (0.9, 5), (0.99, 42), (1, 102)))),
        ),
        reset=_RESET,
        note="Computed from a drive data set (NUWiNS, Maine): quantiles of rate, delay and outages."
        " Assumed: the ends of the ranges, that rate and delay are drawn anew each second, resets.",
    ),
    "meo": LinkProfile(
        down=500 * MBIT,
        up=100 * MBIT,
        rtt=0.140,
        loss=0.001,
        loss_up=0.001,
        handover_every=900.0,
        handover_gap=0.5,
        reset=_RESET,
        note="Operator's claim of rate and delay. Assumed: up, loss, handover (0.5 s every 15 min), resets.",
    ),
    "geo": LinkProfile(
        down=50 * MBIT,
        up=5 * MBIT,
        rtt=0.600,
        jitter=0.084,  # to the 684 ms that are published
        loss=0.0075,
        loss_up=0.0075,
        episodes=(
            Episodes(per_hour=0.1, lasts=Quantiles(((0, 300), (0.5, 1200), (1, 3600))), down=0.5, up=0.4),
        ),
        reset=_RESET,
        note="Round trip of 600-684 ms and rates (newspaceeconomy.ca, ookla.com); consumer plans have 19/3"
        " Mbit/s. Assumed: loss of 0.5-1 %, rain fade, resets.",
    ),
    "cellular": LinkProfile(
        down=38 * MBIT,
        up=3.5 * MBIT,
        rtt=0.070,
        loss=0.0045,
        loss_up=0.0045,
        rtt_quantiles=Quantiles(((0, 0.030), (0.5, 0.070), (0.99, 1.3), (1, 2.0))),
        episodes=(Episodes(per_hour=10, lasts=Quantiles(((0, 0.5), (0.5, 2), (0.95, 14), (1, 63)))),),
        reset=_RESET,
        note="Computed from the drive data set of leo-mobile: round trip p50 57-84 ms, p99 797-2038 ms, p50"
        " 23-63 Mbit/s down and 3-4 up, loss 0.2-0.7 %, zero-rate runs to 14-63 s; the middles are taken."
        " Assumed: how often rates are zero, resets.",
    ),
}


def profile_from(spec: EmulationSpec, name: str = "") -> LinkProfile:
    """The profile that a job file's link asks for: its preset, with every field of `spec` over it.

    A field that is given replaces all that the preset says of it: `outages` its random ones too, `loss`
    both directions (unless `loss_up` is given), `trace` its rates and outages.

    Args:
        spec: The link as the job file has it. Its files (`contacts`, `trace`, `delay_trace`) are read.
        name: The link's name in the job file, for messages.

    Raises:
        UsageError: There is no such preset, a file cannot be used, or the fields make no possible link.
    """
    where = f"link {name}" if name else "the link"
    if spec.preset is not None and spec.preset not in PRESETS:
        there = ", ".join(PRESETS)
        raise ValueRefused(
            f"{where}: no preset {spec.preset!r}; there are {there}",
            ("links", name, "preset"),
            spec.preset,
            there,
            tuple(PRESETS),
        )
    contacts = load_contacts(spec.contacts) if spec.contacts is not None else None
    if spec.preset is not None:
        base = PRESETS[spec.preset]
    else:
        # Contacts that all state a rate say all that an emulation needs (HDTN's plans do).
        rates = [c.rate for c in contacts.contacts] if contacts is not None else []
        known = spec.down is not None or spec.trace is not None or (bool(rates) and None not in rates)
        if spec.emulate and not known:
            raise UsageError(
                f"{where}: emulate needs a rate; give down, trace, or a preset ({', '.join(PRESETS)})"
            )
        # Up at a tenth of down: 10:1 is usual for access links. Without `down` the profile limits nothing:
        # the link is real, or its trace or its contacts do.
        base = LinkProfile(down=spec.down or math.inf, up=(spec.down or math.inf) / 10, rtt=0.0)
    try:
        return dataclasses.replace(base, contacts=contacts, **_overrides(spec, base))
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _overrides(spec: EmulationSpec, base: LinkProfile) -> dict[str, Any]:
    changes: dict[str, Any] = {
        name: value
        for name in (
            "down", "up", "rtt", "jitter", "loss", "burst",
            "handover_every", "handover_gap", "handover_spike",
            "sender",
        )
        if (value := getattr(spec, name)) is not None
    }  # fmt: skip
    # One figure of loss is meant for the link, not for a direction.
    if spec.loss_up is not None or spec.loss is not None:
        changes["loss_up"] = spec.loss_up if spec.loss_up is not None else spec.loss
    if spec.outages is not None:
        changes["outages"] = tuple(spec.outages)
        # Rain, which leaves a share of the rate, is no outage and stays.
        changes["episodes"] = tuple(e for e in base.episodes if not e.is_outage)
    if spec.trace is not None:
        changes["trace"] = load_rate_trace(spec.trace)
        # `down` is what estimates and the payload limit are made from; the trace alone says what passes when.
        changes.setdefault("down", changes["trace"].mean_rate)
        changes |= {"episodes": (), "rate_quantiles": None, "up_quantiles": None}
    if spec.delay_trace is not None:
        changes["delay_trace"] = load_delay_trace(spec.delay_trace)
        # A measured delay has its spikes in it.
        changes |= {"rtt_quantiles": None, "handover_spike": 0.0}
    return changes
