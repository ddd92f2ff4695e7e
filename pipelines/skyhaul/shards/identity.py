"""Ids and provenance, added to decoded rows with Arrow kernels.

An id is `source/object#offset`. It is injective without escapes: a source's name holds no `/`, so it ends at
the first one; an offset is decimal digits, so it starts after the last `#`; the object is what lies between.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.records import PROVENANCE, RecordSchema, shard_schema


def identified(
    decoded: pa.RecordBatch,
    objects: Sequence[PinnedObject],
    which: npt.NDArray[np.int32],
    schema: RecordSchema,
) -> pa.RecordBatch:
    """`decoded` (of `decoded_schema(schema)`) as rows of `shard_schema(schema)`.

    Row i is of `objects[which[i]]`."""
    indices = pa.array(which)

    def spread(values: list[str]) -> pa.Array:
        # A batch of one object needs no index.
        if len(values) == 1:
            return pa.repeat(pa.scalar(values[0], pa.string()), decoded.num_rows)
        return pa.array(values, pa.string()).take(indices)

    # By place: a schema of the job's own may have columns of these names, too.
    *body, offsets, lengths = decoded.columns
    ids = pc.binary_join_element_wise(
        spread([f"{o.source}/{o.path}#" for o in objects]), offsets.cast(pa.string()), ""
    )
    provenance = pa.StructArray.from_arrays(
        [
            spread([o.source for o in objects]),
            spread([o.path for o in objects]),
            spread([o.version for o in objects]),
            offsets,
            lengths,
        ],
        fields=list(PROVENANCE),
    )
    return pa.RecordBatch.from_arrays([ids, *body, provenance], schema=shard_schema(schema))
