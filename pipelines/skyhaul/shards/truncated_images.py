"""How many of a shard's images were cut off: counted as rows are written, and again by `verify --deep`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_MARK = '"truncated":'
"""In the metadata of each image that was cut off, which is canonical JSON."""


class TruncatedImages:
    """Counts images that were cut off among rows of schema `image`, in whatever batches they come.

    The mark finds the rows, the bytes decide: a table may have a column `truncated` of its own (object
    detection's, for one), which is in the metadata of all its rows."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()

    def add(self, rows: pa.RecordBatch) -> None:
        marked = pc.match_substring(rows.column("metadata"), _MARK).fill_null(False)
        if not pc.any(marked).as_py():
            return
        # Where no image is marked, the library that tells media types is not loaded.
        from skyhaul_connectors.formats.media.image_facts import truncated_format

        images = rows.column("bytes")
        for row in np.flatnonzero(marked.to_numpy(zero_copy_only=False)).tolist():
            cut = truncated_format(images[row].as_py())
            if cut is not None:
                self._counted[cut] += 1

    def by_format(self) -> dict[str, int]:
        """Format (`png`) -> how many images."""
        return dict(sorted(self._counted.items()))
