"""A package's transform at work: whatever it raises or gives, a shard fails with one line that names it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from skyhaul.shards.foreign_code.kept_rows import fault_of
from skyhaul.shards.transform_step import Transform, Transformed
from skyhaul_schemas.errors import SkyhaulError, TransformFailed
from skyhaul_schemas.printable import brief


@dataclass(frozen=True, slots=True)
class Guarded:
    """A transform of a package, of which nothing is taken for granted.

    Attributes:
        name: What the job calls it.
        transform: The package's.
    """

    name: str
    transform: Transform

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        try:
            result = self.transform(batch)
        except SkyhaulError:
            # An error of ours is worded and classed already, whoever raises it.
            raise
        except Exception as error:
            raise self._failed(" ".join(f"{type(error).__name__}: {error}".split())) from error
        if not isinstance(result, Transformed):
            raise self._failed(f"it gave a {type(result).__name__}, not a Transformed")
        fault = fault_of(batch, result.batch)
        if fault is not None:
            raise self._failed(fault)
        # As `transform_step.apply` holds all transforms to it, where a failure would be a bug of ours: exit
        # 1.
        taken = sum(result.filtered.values())
        if result.batch.num_rows + taken != batch.num_rows:
            raise self._failed(
                f"{batch.num_rows} rows in, {result.batch.num_rows} out, {taken} counted as filtered"
            )
        return result

    def _failed(self, why: str) -> TransformFailed:
        return TransformFailed(f"transform {brief(self.name)!r}: {brief(why)}")
