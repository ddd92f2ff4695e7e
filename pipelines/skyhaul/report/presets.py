"""`skyhaul presets`: the links that a job file can name, and what their figures rest on."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from skyhaul.report.table import columns
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_schemas.units import format_rate


@dataclass(frozen=True, slots=True)
class PresetsReport:
    """Profiles of links by the names of their presets."""

    presets: Mapping[str, LinkProfile]

    def lines(self) -> Iterator[str]:
        head = ("preset", "rtt", "down", "up", "loss down", "loss up")
        rows = [
            (
                name,
                _round_trip(profile),
                _rate(profile.down),
                _rate(profile.up),
                f"{profile.loss * 100:.3g} %",
                f"{profile.loss_up * 100:.3g} %",
            )
            for name, profile in self.presets.items()
        ]
        table = list(columns(head, rows, right="-rrrrr"))
        yield table[0]
        for line, profile in zip(table[1:], self.presets.values(), strict=True):
            yield line
            for note in textwrap.wrap(profile.note, 94):
                yield f"    {note}"

    def to_json(self) -> dict[str, Any]:
        return {name: _finite(asdict(profile)) for name, profile in self.presets.items()}


def _round_trip(profile: LinkProfile) -> str:
    low = f"{profile.rtt * 1000:.0f}"
    return f"{low}-{(profile.rtt + profile.jitter) * 1000:.0f} ms" if profile.jitter else f"{low} ms"


def _rate(bits: float) -> str:
    return format_rate(bits) if math.isfinite(bits) else "not limited"


def _finite(value: Any) -> Any:
    """JSON has no infinity: a rate that is not limited is null."""
    # json.dumps would write `Infinity`, which other parsers refuse (RFC 8259, 6).
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
