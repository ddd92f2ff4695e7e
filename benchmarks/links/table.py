"""The table of results, in Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from statistics import median

from cases import Case
from contenders import Measured

HEADER = (
    "| case | who | Mbit/s: median (worst, runs) | seconds | of the limit: median (worst) | goal |"
    " wire / payload | CPU s | sent again |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def table(measured: Sequence[tuple[Case, Mapping[str, Sequence[Measured]]]]) -> str:
    """All cases, and under which system they were run."""
    system = f"Linux {platform.release()}, {os.cpu_count()} CPUs, {datetime.now(UTC):%d %B %Y}"
    lines = [row(case, who, runs) for case, by_whom in measured for who, runs in by_whom.items()]
    return "\n".join([system, "", HEADER, *lines])


def row(case: Case, who: str, runs: Sequence[Measured]) -> str:
    through = [run for run in runs if run.share]
    if not through:
        brought = max(run.rate for run in runs) / 1e6
        return (
            f"| {case.name} | {who} | {brought:.1f} (at most, {len(runs)})"
            f" | not through after {runs[0].seconds:.0f} | | | | | |"
        )
    late = f", {len(runs) - len(through)} not through" if len(through) < len(runs) else ""
    runs = through
    rates = [run.rate / 1e6 for run in runs]
    shares = [run.share for run in runs]
    goal = f"{case.goal:g}" if who == "skyhaul" and case.goal is not None else ""
    again = [run.resent for run in runs if run.resent is not None]
    if case.mode in ("kill", "die"):
        crossed = median(again) / 2**20
        return f"| {case.name} | {who} | ({len(runs)} runs) | | | | | | {crossed:.2f} MiB |"
    return (
        f"| {case.name} | {who} | {median(rates):.1f} ({min(rates):.1f}, {len(runs)}{late})"
        f" | {median(run.seconds for run in runs):.2f}"
        f" | {median(shares):.3f} ({min(shares):.3f}) | {goal}"
        f" | {median(run.wire for run in runs):.3f} | {median(run.cpu for run in runs):.1f} | |"
    )
