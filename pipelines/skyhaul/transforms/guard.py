"""A package's transform at work: whatever it raises or gives, a shard fails with one line that names it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from skyhaul.shards.transform_step import Transform, Transformed
from skyhaul_schemas.errors import SkyhaulError, TransformFailed
from skyhaul_schemas.printable import brief


@dataclass(frozen=True, slots=True)
class Guarded:
    """`transform`, named `name` in a job, of which nothing is taken for granted."""

    name: str
    transform: Transform

    def __call__(self, batch: pa.RecordBatch) -> Transformed:
        try:
            result = self.transform(batch)
        except SkyhaulError:
            raise
        except Exception as error:
            raise self._failed(" ".join(f"{type(error).__name__}: {error}".split())) from error
        if not isinstance(result, Transformed):
            raise self._failed(f"it gave a {type(result).__name__}, not a Transformed")
        if not result.batch.schema.equals(batch.schema):
            raise self._failed("it changed the columns")
        taken = sum(result.filtered.values())
        if result.batch.num_rows + taken != batch.num_rows:
            raise self._failed(
                f"{batch.num_rows} rows in, {result.batch.num_rows} out, {taken} counted as filtered"
            )
        return result

    def _failed(self, why: str) -> TransformFailed:
        return TransformFailed(f"transform {brief(self.name)!r}: {brief(why)}")
