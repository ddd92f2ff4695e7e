"""Goodput over time against the link's rate, outages shaded, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

from cases import Case
from contenders import Measured

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 260, 60, 34, 26
_COLOURS = ("#1f6feb", "#d1242f", "#8250df", "#bf8700", "#1a7f37")
_STEP = 0.25


def svg(case: Case, runs: Sequence[Measured]) -> str:
    """One line a contender: what its receiver counted, in bins of a quarter of a second."""
    longest = max(run.seconds for run in runs)
    rate = case.link.down / 1e6
    top = rate * 1.1

    def x(seconds: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - 16) * seconds / longest

    def y(mbit: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * min(mbit, top) / top

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="14">{case.name}: Mbit/s at the receiver over seconds</text>',
    ]
    parts += [
        f'<rect x="{x(start):.1f}" y="{_TOP}" width="{x(stop) - x(start):.1f}"'
        f' height="{_HEIGHT - _BOTTOM - _TOP}" fill="#dddddd"/>'
        for start, stop in runs[0].outages
    ]
    parts.append(
        f'<line x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{y(rate):.1f}" y2="{y(rate):.1f}" stroke="black"'
        f' stroke-dasharray="4 3"/><text x="4" y="{y(rate) + 4:.1f}">{rate:g}</text>'
        f'<text x="4" y="{y(0) + 4:.1f}">0</text>'
        f'<line x1="{_LEFT}" x2="{_WIDTH - 16}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="black"/>'
        f'<text x="{_WIDTH - 60}" y="{_HEIGHT - 16}">{longest:.1f} s</text>'
    )
    for index, run in enumerate(runs):
        colour = _COLOURS[index % len(_COLOURS)]
        line = " ".join(f"{x(at):.1f},{y(mbit):.1f}" for at, mbit in goodput(run))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{_LEFT + 110 * index}" y="{_HEIGHT - 6}" fill="{colour}">{run.who}</text>')
    return "\n".join([*parts, "</svg>\n"])


def goodput(run: Measured) -> list[tuple[float, float]]:
    """(seconds, Mbit/s) of a run."""
    line: list[tuple[float, float]] = []
    begun, counted = 0.0, 0
    for at, count in run.points:
        if at - begun >= _STEP:
            line.append((at, (count - counted) * 8 / (at - begun) / 1e6))
            begun, counted = at, count
    return [point for point in line if point[0] <= run.seconds]
