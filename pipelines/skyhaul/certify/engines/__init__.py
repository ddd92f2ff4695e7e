"""The engines that a dataset is opened with. Each module is imported in its own process only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Engine:
    """module: of this package, with `read(request) -> Reading`. package: what must be importable, and how it
    is called by pip's extra. streaming: passed to `read`, where an engine reads in two ways."""

    name: str
    module: str
    package: str
    extra: str = "certify"
    streaming: bool = False


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
