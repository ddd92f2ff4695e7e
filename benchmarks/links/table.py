"""The table of results, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from cases import Case
from contenders import Measured

HEADER = (
    "| case | who | Mbit/s: median (worst, runs) | seconds | of the limit: median (worst) | goal |"
    " wire / payload | CPU s | sent again |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def row(case: Case, who: str, runs: Sequence[Measured]) -> str:
    rates = [run.rate / 1e6 for run in runs]
    shares = [run.share for run in runs]
    goal = f"{case.goal:g}" if who == "skyhaul" and case.goal is not None else ""
    again = [run.resent for run in runs if run.resent is not None]
    if case.mode in ("kill", "die"):
        crossed = median(again) / 2**20
        return f"| {case.name} | {who} | ({len(runs)} runs) | | | | | | {crossed:.2f} MiB |"
    return (
        f"| {case.name} | {who} | {median(rates):.1f} ({min(rates):.1f}, {len(runs)})"
        f" | {median(run.seconds for run in runs):.2f}"
        f" | {median(shares):.3f} ({min(shares):.3f}) | {goal}"
        f" | {median(run.wire for run in runs):.3f} | {median(run.cpu for run in runs):.1f} | |"
    )
