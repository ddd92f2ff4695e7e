"""`skyhaul describe`: a table of the columns, then what is told of single ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skyhaul.dataset.description import UNITS, spread_cells, values_line
from skyhaul.report.table import columns, labelled, plural

_VALUES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class DescribeReport:
    """What `_skyhaul/stats/describe.json` says."""

    described: dict[str, Any]
    place: str
    """As it may be shown."""

    def lines(self) -> Iterator[str]:
        """Rows by split, the columns, and the values of those that have few."""
        whole = self.described["all"]
        splits = self.described["splits"]
        by_split = ", ".join(f"{name} {part['rows']:,}" for name, part in splits.items())
        yield f"{plural(whole['rows'], 'row')} in {self.place}" + (f": {by_split}" if by_split else "")
        rows = [_row(name, column) for name, column in whole["columns"].items()]
        if "tokens" in whole:
            rows.append(("tokens", "", "tokens", *spread_cells(whole["tokens"])))
        if rows:
            head = ("column", "nulls", "in", "min", "median", "95%", "max")
            yield from columns(head, rows, right="lrlrrrr")
        if "tokens" in whole:
            yield f"{plural(whole['tokens']['sum'], 'token')} by {self.described['tokenizer']}"
        values = [
            (name, values_line(column["values"], _VALUES_SHOWN))
            for name, column in whole["columns"].items()
            if column.get("values", {}).get("counts")
        ]
        yield from labelled(values)

    def to_json(self) -> dict[str, Any]:
        return {"exit_code": 0, "dataset": self.place, **self.described}


def _row(name: str, column: dict[str, Any]) -> tuple[str, ...]:
    unit = next((unit for unit in UNITS if unit in column), "")
    return (name, f"{column['nulls']:,}", unit, *spread_cells(column.get(unit, {})))
