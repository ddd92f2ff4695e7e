"""The engines that a dataset is opened with. Each module is imported in its own process only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that a dataset is read with."""

    name: str
    module: str
    """Of this package, with `read(request) -> Reading`."""
    package: str
    """What must be importable, and how it is called by pip's extra."""
    extra: str = "certify"
    streaming: bool = False
    """Passed to `read`, where an engine reads in two ways."""


# pyarrow first: the others' readings are held against the first one's.
ENGINES = {
    engine.name: engine
    for engine in (
        Engine("pyarrow", "with_pyarrow", "pyarrow"),
        Engine("duckdb", "with_duckdb", "duckdb"),
        Engine("polars", "with_polars", "polars"),
        Engine("datasets", "with_datasets", "datasets"),
        Engine("datasets-streaming", "with_datasets", "datasets", streaming=True),
        Engine("pyspark", "with_pyspark", "pyspark", extra="spark"),
    )
}
