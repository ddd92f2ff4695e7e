"""DuckDB, Polars and pyarrow as judges of Parquet and Arrow files.

Every value is read, not the counts of a footer. pyarrow is asked in the plainest way; our decoder, which
builds on it, asks it for batches, in a child process, with checksums.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import duckdb
import polars
import pyarrow as pa
import pyarrow.parquet as pq
from tests.hauling.collected.verdict import Verdict, gave_up

_REFUSALS = (pa.ArrowException, polars.exceptions.PolarsError, duckdb.Error, OSError, ValueError)


def _judge(by: str, read: Callable[[Path], int]) -> Callable[[Path], Verdict]:
    def judge(path: Path) -> Verdict:
        try:
            return Verdict(by, read(path))
        except _REFUSALS:
            return gave_up(by)
        except BaseException as panic:
            if type(panic).__name__ == "PanicException":  # Rust's, which is no Exception to Python
                return gave_up(by)
            raise

    return judge


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})


def _duckdb(path: Path) -> int:
    found = _connection().execute("select * from read_parquet(?)", [str(path)])
    rows = 0
    while some := found.fetchmany(10_000):  # not as Arrow, which would be pyarrow's judgement again
        rows += len(some)
    return rows


def _polars(path: Path) -> int:
    return polars.read_parquet(path, hive_partitioning=False).height


def _pyarrow(path: Path) -> int:
    return pq.ParquetFile(path).read().num_rows


def _polars_ipc(path: Path) -> int:
    raw = path.read_bytes()
    return (polars.read_ipc(raw) if raw.startswith(b"ARROW1") else polars.read_ipc_stream(raw)).height


def _pyarrow_ipc(path: Path) -> int:
    raw = path.read_bytes()
    table = (pa.ipc.open_file(raw) if raw.startswith(b"ARROW1") else pa.ipc.open_stream(raw)).read_all()
    table.validate(full=True)
    return table.num_rows


PARQUET = (_judge("DuckDB", _duckdb), _judge("Polars", _polars), _judge("pyarrow", _pyarrow))
ARROW = (_judge("Polars, IPC", _polars_ipc), _judge("pyarrow, IPC", _pyarrow_ipc))
