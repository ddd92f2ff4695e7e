"""pyarrow's dataset reader, with page checksums verified."""

from __future__ import annotations

import glob

import pyarrow as pa
import pyarrow.dataset as ds

from skyhaul.certify.engine_reading import Reading, Request, Schema, schema_of
from skyhaul.certify.engines.arrow_sums import summed


def read(request: Request, streaming: bool) -> Reading:
    """`streaming` makes no difference."""
    # Off unless asked for: most flipped bits would go unseen.
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    parquet = ds.ParquetFileFormat(default_fragment_scan_options=options)
    schema: Schema = ()
    splits = {}
    for split in request.splits:
        opened = ds.dataset(sorted(glob.glob(request.files(split))), format=parquet)
        schema = schema_of(opened.schema)
        # Its default of 16 batches ahead holds as many in memory, whatever their rows weigh.
        splits[split] = summed(opened.to_batches(batch_size=4096, batch_readahead=2), request)
    return Reading(pa.__version__, schema, splits)
