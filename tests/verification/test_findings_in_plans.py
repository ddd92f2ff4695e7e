"""Verify finds each way in which the plan of a dataset can be wrong, and says which."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from skyhaul_schemas import layout
from verification.doctored import codes, only, verified
from verification.doctored import root as root
from verification.doctored import whole as whole


def rewrite_plan(root: Path, path: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Rewrite the rows of one of the plan's files under its old header."""
    footer = pq.read_metadata(root / path).metadata
    table = pq.read_table(root / path)
    rows = table.to_pylist()
    change(rows)
    with pq.ParquetWriter(root / path, table.schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=table.schema), row_group_size=8192)
        writer.add_key_value_metadata({k: v for k, v in footer.items() if k.startswith(b"skyhaul")})


def test_a_plan_whose_objects_were_changed(root: Path) -> None:
    rewrite_plan(root, layout.OBJECTS, lambda rows: rows[-1].update(version="mtime:1"))
    report = verified(root)
    assert codes(report) == {"plan-digest", "plan-pin-differs"}
    assert "pins another version of" in " ".join(map(str, report.findings))


def test_a_plan_whose_objects_are_out_of_order(root: Path) -> None:
    rewrite_plan(root, layout.OBJECTS, lambda rows: rows.reverse())
    assert codes(verified(root)) == {"plan-digest", "plan-order"}


def test_a_plan_without_one_of_its_objects(root: Path) -> None:
    rewrite_plan(root, layout.OBJECTS, lambda rows: rows.pop())
    assert codes(verified(root)) == {"plan-digest", "plan-counts", "plan-object-unknown"}


def longest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max((row for row in rows if row["offset"] > 0), key=lambda row: row["length"])


def test_a_plan_that_covers_a_range_twice(root: Path) -> None:
    rewrite_plan(
        root,
        layout.SHARDS,
        lambda rows: longest(rows).update(
            offset=longest(rows)["offset"] - 5, length=longest(rows)["length"] + 5
        ),
    )
    report = verified(root)
    assert "plan-range-twice" in codes(report)
    assert "are in 2 chunks of the plan" in " ".join(map(str, report.findings))


def test_a_plan_that_covers_a_range_not_at_all(root: Path) -> None:
    rewrite_plan(root, layout.SHARDS, lambda rows: longest(rows).update(length=longest(rows)["length"] - 5))
    report = verified(root)
    assert "plan-range-missing" in codes(report)
    assert "are in no shard of the plan" in " ".join(map(str, report.findings))


def test_a_plan_that_cannot_be_trusted(root: Path) -> None:
    os.truncate(root / layout.SHARDS, 200)
    only(verified(root), "plan-damaged", layout.SHARDS)
