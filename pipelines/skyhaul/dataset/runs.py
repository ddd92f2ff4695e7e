"""Run records: what each haul over a dataset did."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.commit import RunRecord
from skyhaul_schemas.errors import RecordDamaged


def write_run(store: DatasetStore, started: datetime, run: RunRecord) -> str:
    """Write the record of one haul. Returns its path, which begins with `started`: records sort by time."""
    utc = f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    path = layout.run_file(utc, run.id.removeprefix(f"{utc}-"))
    store.replace_bytes(path, run.to_line(indent=2))
    return path


def runs(store: DatasetStore) -> Iterator[RunRecord]:
    """The hauls so far, oldest first. A record that cannot be read is passed over: nothing rests on it."""
    for path in store.list(layout.RUNS):
        try:
            yield RunRecord.model_validate_json(store.read_bytes(path))
        except (FileNotFoundError, ValidationError, RecordDamaged):
            continue
