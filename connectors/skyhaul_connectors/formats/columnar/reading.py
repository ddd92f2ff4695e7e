"""Asks the child process for what tables hold: record batches come as Arrow IPC streams (see `child`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from skyhaul_connectors.formats.isolated.protocol import Done, Read
from skyhaul_connectors.formats.isolated.reader import IsolatedReader

READER = IsolatedReader(
    "skyhaul_connectors.formats.columnar.child",
    # Of which pyarrow alone maps about 1 GiB.
    memory=3 * 1024**3,
    # Minutes beyond what the largest chunk takes, so that it tells the hostile from the slow.
    cpu_seconds=600,
)


def rows(task: dict[str, Any], read: Read) -> Iterator[pa.RecordBatch]:
    """The record batches of a task. Raises Broken, StorageError and what `read` raises."""
    for found in READER.run(task, read):
        if not isinstance(found, Done):
            yield from pa.ipc.open_stream(pa.py_buffer(found))


def layout(task: dict[str, Any], read: Read) -> dict[str, Any]:
    """The closing word of a task without rows. Raises as `rows`."""
    return READER.answer(task, read).result
