"""A program's own code between decoding and writing: one function over record batches.

It comes after the rules of the job, and before rows are parted into splits. The batches that it gets are cut
where the shard's rows say, whatever batches they were decoded in, on however many workers: so even code that
looks at all of its batch (a model, say) gives the same bytes everywhere.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from skyhaul.shards.foreign_code.kept_rows import fault_of
from skyhaul.shards.row_bytes import row_bytes
from skyhaul_schemas.errors import SkyhaulError, TransformFailed, UsageError
from skyhaul_schemas.job.fieldtypes import NAMES, is_name
from skyhaul_schemas.printable import brief, printable

BORDERS_VERSION = 1
"""Raised whenever equal rows would reach a program's code in other batches."""

MOST_ROWS = 1024
MOST_BYTES = 16 * 1024 * 1024
"""Rows and bytes (as `row_bytes` counts them) of a batch, whichever is reached first; a larger row makes a
batch of its own. Chosen, not measured; others are other borders."""

MAP_RECORDS = "map_records"
"""Begins the key of such a function in a plan's fingerprint: `map_records:redact`."""

VERSION_CAP = 64
"""Characters of a version: it stands in every plan and in messages. Chosen, not measured."""

RecordFunction = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class MapRecords:
    """Code of your own between decoding and writing.

        def redact(batch: pa.RecordBatch) -> pa.RecordBatch: ...

        skyhaul.haul("job.yaml", map_records=MapRecords(redact, name="redact", version=1))

    The function gets the rows of a shard, in the shard's order, in batches of at most 1,024 rows and 16 MiB
    whose borders depend on the rows alone. It returns a batch of the same columns. It may change any of them
    but `id` and `provenance`, and leave rows out, which are counted as filtered under `name`; it adds none,
    and keeps their order. What breaks this, or raises, fails its shard, with one line that says what.

    The same batch has to give the same rows: no clock, no random numbers without a seed, nothing remembered
    from batch to batch. Several threads call it at once. Name and version stand in the plan's fingerprint:
    raise the version whenever the function would give other rows. The command line has no such function, so
    that it refuses to haul or replay a dataset that was planned with one; `status` and `verify` need none.

    Workers get it by reference (`reference`, which `HaulConfig.map_records` carries): the names of module and
    function, never code. So it stands at the top of a module, and workers on other machines have that module
    installed; a `__main__` or a notebook is enough where they are threads of its own process. What is heavy,
    such as a model, is loaded by the function when it is first called.

    Attributes:
        fn: The function.
        name: What it is called in the plan and in counts: 1 to 64 letters, digits, `.`, `_` and `-`.
        version: Of what it does; kept as text.

    Raises:
        UsageError: `fn` cannot be called, or a name or a version that cannot be one.
    """

    fn: RecordFunction
    name: str
    version: str | int

    def __post_init__(self) -> None:
        if not callable(self.fn):
            raise UsageError(f"map_records: found a {type(self.fn).__name__}, allowed: a function")
        try:
            found = _named(*_place(self.fn))
        except (ImportError, AttributeError):
            found = None
        if found is not self.fn:
            what = getattr(self.fn, "__qualname__", None) or f"a {type(self.fn).__name__}"
            raise UsageError(
                f"map_records: found {brief(str(what))}, allowed: a function that is defined at the top of a"
                " module, so that workers find it by its name"
            )
        if not isinstance(self.name, str) or not is_name(self.name):
            raise UsageError(f"map_records: name: found {brief(repr(self.name))}, allowed: {NAMES}")
        version = str(self.version)
        if not 0 < len(version) <= VERSION_CAP or printable(version) != version:
            raise UsageError(
                f"map_records: version: found {brief(repr(version))}, allowed: 1 to {VERSION_CAP} characters"
            )
        object.__setattr__(self, "version", version)

    @property
    def fingerprint(self) -> dict[str, str]:
        """What a plan that is hauled with it states among the versions that its bytes depend on."""
        return {"skyhaul.map_records": str(BORDERS_VERSION), f"{MAP_RECORDS}:{self.name}": str(self.version)}

    @property
    def reference(self) -> str:
        """Function, name and version as text, from which `of_reference` makes it again in another process."""
        return f"{':'.join(_place(self.fn))} {self.name} {self.version}"

    @classmethod
    def of_reference(cls, reference: str) -> MapRecords:
        """What `reference` says.

        Raises:
            UsageError: There is no such module or function in this process.
        """
        place, name, version = reference.split(" ", 2)
        try:
            return cls(_named(*place.split(":", 1)), name, version)
        # Of a module of somebody else's, whose import may raise anything.
        except Exception as error:
            why = brief(" ".join(f"{type(error).__name__}: {error}".split()))
            raise UsageError(
                f"map_records {brief(name)!r}: {brief(place)} is not here ({why}); install its module"
                " wherever shards are encoded"
            ) from error

    def __reduce__(self) -> tuple[Callable[[str], MapRecords], tuple[str]]:
        return MapRecords.of_reference, (self.reference,)

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """What the function makes of `batch`, held to what it must not do.

        Raises:
            TransformFailed: It raised, or broke its promise.
            SkyhaulError: It raised one.
        """
        try:
            found = self.fn(batch)
        except SkyhaulError:
            # An error of ours is worded and classed already, whoever raises it.
            raise
        except Exception as error:
            raise self._failed(" ".join(f"{type(error).__name__}: {error}".split())) from error
        fault = fault_of(batch, found)
        if fault is not None:
            raise self._failed(fault)
        return found

    def _failed(self, why: str) -> TransformFailed:
        return TransformFailed(f"map_records {brief(self.name)!r}: {printable(why, 300)}")


class CanonicalBatches:
    """Rows of one shard, in the batches that `MapRecords` promises; what is left of each is handed on.

    Args:
        mapping: The program's function.
        emit: Takes the rows that are left of a batch, at least one.
        filtered_by: Gets the counts of rows that were left out.
    """

    def __init__(
        self, mapping: MapRecords, emit: Callable[[pa.RecordBatch], None], filtered_by: dict[str, int]
    ) -> None:
        self._mapping = mapping
        self._emit = emit
        self._filtered_by = filtered_by
        self._pieces: list[pa.RecordBatch] = []
        self._rows = 0
        self._bytes = 0

    def add(self, rows: pa.RecordBatch) -> None:
        """Take the next rows. Raises what the function does."""
        sums = np.cumsum(row_bytes(rows))
        start, taken = 0, 0
        while start < rows.num_rows:
            fit = int(np.searchsorted(sums, taken + MOST_BYTES - self._bytes, side="right"))
            stop = min(fit, start + MOST_ROWS - self._rows, rows.num_rows)
            if stop <= start and not self._rows:
                stop = start + 1
            if stop > start:
                self._pieces.append(rows.slice(start, stop - start))
                self._rows += stop - start
                self._bytes += int(sums[stop - 1]) - taken
                start, taken = stop, int(sums[stop - 1])
            if start < rows.num_rows:
                self.finish()

    def finish(self) -> None:
        """Hand on what is pending: the next row does not fit, or there is none."""
        if not self._rows:
            return
        pieces, before = self._pieces, self._rows
        self._pieces, self._rows, self._bytes = [], 0, 0
        # Joined into memory of its own: somebody else's function may keep what it was given.
        left = self._mapping(pa.concat_batches(pieces))
        gone = before - left.num_rows
        if gone:
            name = self._mapping.name
            self._filtered_by[name] = self._filtered_by.get(name, 0) + gone
        if left.num_rows:
            self._emit(left)


def _place(fn: object) -> tuple[str, str]:
    """The names of the module and, in it, of the function; empty where it has none."""
    return getattr(fn, "__module__", None) or "", getattr(fn, "__qualname__", None) or ""


def _named(module: str, name: str) -> Any:
    """What a module has under a name. Raises ImportError and AttributeError."""
    # Its `__main__` a process has without importing it.
    found = sys.modules.get(module) or importlib.import_module(module or "__main__")
    for part in name.split("."):
        found = getattr(found, part)
    return found
