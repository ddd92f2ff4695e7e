"""What `skyhaul describe` found of rows (`_skyhaul/stats/describe.json`), and its part of the dataset's card.

It is of one plan and of so many rows: where a dataset has grown since, the card leaves it out.
"""

from __future__ import annotations

import json
import re
from typing import Any

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.printable import json_printable, printable

_BEGIN, _END = "<!-- described -->", "<!-- end of described -->"
_SECTION = re.compile(rf"{_BEGIN}.*?{_END}\n\n", re.DOTALL)
_LAST = re.compile(r"^Plan `", re.MULTILINE)
"""The card's last paragraph."""

_VALUES_SHOWN = 8
"""Values of a column that the card names."""


def write_description(store: DatasetStore, plan: str, described: dict[str, Any]) -> dict[str, Any]:
    """Keep a description of the rows of plan `plan`, and put it into the card; what was kept.

    Raises:
        StorageError: The storage fails."""
    kept = {"plan": plan, **described}
    text = json_printable(json.dumps(kept, indent=1, ensure_ascii=False))
    store.replace_bytes(layout.DESCRIPTION, f"{text}\n".encode())
    try:
        card = store.read_bytes(layout.CARD).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return kept
    store.replace_bytes(layout.CARD, with_section(card, kept).encode())
    return kept


def read_description(store: DatasetStore, plan: str, rows: int) -> dict[str, Any] | None:
    """The description of these rows of the plan; None where there is none, or it is of others."""
    try:
        kept = json.loads(store.read_bytes(layout.DESCRIPTION))
        fits = kept["plan"] == plan and kept["all"]["rows"] == rows
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        # Nothing rests on it; `skyhaul describe` makes it anew.
        return None
    return kept if fits else None


def with_section(card: str, described: dict[str, Any] | None) -> str:
    """The card with what is described of its rows, in the place of what was."""
    card = _SECTION.sub("", card)
    last = _LAST.search(card)
    if described is None or last is None:
        return card
    return f"{card[: last.start()]}{_BEGIN}\n{_section(described)}\n{_END}\n\n{card[last.start() :]}"


def _section(described: dict[str, Any]) -> str:
    whole = described["all"]
    lines = [
        "| column | nulls | in | min | median | 95 % | max |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, column in whole["columns"].items():
        unit, spread = next(((unit, column[unit]) for unit in UNITS if unit in column), ("", {}))
        lines.append(_row(name, column["nulls"], unit, spread))
    if "tokens" in whole:
        lines.append(_row(f"tokens ({described.get('tokenizer')})", 0, "tokens", whole["tokens"]))
    for name, column in whole["columns"].items():
        if column.get("values", {}).get("counts"):
            lines += ["", f"`{printable(name)}`: {values_line(column['values'], _VALUES_SHOWN)}."]
    return "\n".join(lines)


UNITS = ("characters", "bytes", "numbers", "times")
"""What of a column is told, by its type."""


def values_line(values: dict[str, Any], shown: int) -> str:
    """The most frequent values of a column, in one line."""
    first = list(values["counts"].items())[:shown]
    others = values["others"] + sum(values["counts"].values()) - sum(count for _, count in first)
    told = ", ".join(f"{printable(value)} {count:,}" for value, count in first)
    return f"{told}, others {others:,}" if others else told


def spread_cells(spread: dict[str, Any]) -> tuple[str, str, str, str]:
    """Least, median, 95 % and greatest, for a table."""
    quantiles = spread.get("quantiles", {})
    found = (spread.get("min"), quantiles.get("0.5"), quantiles.get("0.95"), spread.get("max"))
    least, median, high, greatest = map(_shown, found)
    return least, median, high, greatest


def _row(name: str, nulls: int, unit: str, spread: dict[str, Any]) -> str:
    cells = (printable(name), f"{nulls:,}", unit, *spread_cells(spread))
    return f"| {' | '.join(cells)} |"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else value
