"""CSV and TSV."""

from __future__ import annotations

from skyhaul_connectors.formats.declaration import Format, Implementation


def _csv() -> Implementation:
    from skyhaul_connectors.formats.delimited.decoder import CsvDecoder, CsvOptions

    return Implementation(CsvOptions, CsvDecoder)


def _tsv() -> Implementation:
    from skyhaul_connectors.formats.delimited.decoder import TsvDecoder, TsvOptions

    return Implementation(TsvOptions, TsvDecoder)


CSV = Format(
    name="csv",
    about="delimited text with a header",
    schemas=("document", "reading", "own"),
    suffixes=(".csv",),
    load=_csv,
)

TSV = Format(
    name="tsv",
    about="csv with tabs",
    schemas=("document", "reading", "own"),
    suffixes=(".tsv", ".tab"),
    load=_tsv,
)
