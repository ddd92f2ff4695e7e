"""Parquet, Arrow and Feather."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _parquet() -> Implementation:
    from skyhaul_connectors.formats.columnar.decoder import ParquetDecoder, ParquetOptions

    return Implementation(ParquetOptions, ParquetDecoder)


def _arrow() -> Implementation:
    from skyhaul_connectors.formats.columnar.decoder import ArrowDecoder, ArrowOptions

    return Implementation(ArrowOptions, ArrowDecoder)


PARQUET = Format(
    name="parquet",
    about="Parquet files, row group by row group",
    schemas=("document", "reading", "image", "own"),
    suffixes=(".parquet", ".pq"),
    load=_parquet,
)

ARROW = Format(
    name="arrow",
    about="Arrow IPC files and streams",
    schemas=("document", "reading", "image", "own"),
    suffixes=(".arrow", ".arrows", ".feather", ".ipc"),
    load=_arrow,
)
