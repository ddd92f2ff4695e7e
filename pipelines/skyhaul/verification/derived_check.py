"""A derived dataset: its rows are those that its plan pins, and as many as its inputs had.

The plan pins each shard by the content of its rows; the derivation pins the files that they come from. Rows
that are shuffled stand in the order of their keys, in the shard that takes these keys: so no id is there
twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.derived.derivation import Derivation, derivation_of, read_derivation
from skyhaul.derived.inputs import InputsDigest, read_inputs
from skyhaul.derived.row_order import order_keys, shards_of_keys
from skyhaul.shards.row_content import RowContent
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanDamaged
from skyhaul_schemas.plan import PlanHeader, Shard
from skyhaul_schemas.storage_errors import passing_raised

_BATCH_ROWS = 4096
"""Rows that are read at once; large ones are bounded by their row group. Chosen, not measured."""


def check_inputs(store: DatasetStore, header: PlanHeader, report: VerifyReport) -> None:
    """Add findings where what lies beside the plan is not what it pins, or rows are not accounted for.

    To be called when all shards were looked at; nothing is done for a dataset that was hauled.

    Raises:
        StorageError: The storage fails otherwise."""
    pinned = derivation_of(header)
    if pinned is None:
        return
    digest = InputsDigest()
    try:
        claimed = read_derivation(store)
        for file in read_inputs(store):
            digest.add(file)
    except PlanDamaged as error:
        report.add("inputs-damaged", str(error), path=layout.INPUTS)
        return
    if claimed is None or {**claimed.to_json(), "dropped": pinned.dropped} != pinned.to_json():
        why = "it is not the derivation that the plan pins" if claimed else "it is missing"
        report.add("derivation-differs", f"{layout.DERIVATION}: {why}", path=layout.DERIVATION)
    if (digest.hexdigest(), digest.files, digest.rows) != (pinned.files_digest, pinned.files, pinned.rows):
        why = "its files are not those that the plan pins"
        report.add("inputs-differ", f"{layout.INPUTS}: {why}", path=layout.INPUTS)
    if not pinned.inputs or report.shards_committed < report.shards:
        return
    dropped = sum(pinned.dropped.values())
    if pinned.rows != report.rows + dropped:
        report.add(
            "rows-lost",
            f"{pinned.rows} rows came in, {report.rows} are in the dataset and {dropped} were left out",
            path=layout.DERIVATION,
        )


class DerivedRowsCheck:
    """Reads the files of one shard, split by split and part by part; `finish` holds them against the plan."""

    def __init__(
        self, store: DatasetStore, shard: Shard, derivation: Derivation, report: VerifyReport
    ) -> None:
        self._store = store
        self._shard = shard
        self._derivation = derivation
        self._report = report
        self._content = RowContent()
        self._split: str | None = None
        self._last: tuple[int, str] | None = None
        self._sound = True

    def check(self, path: str, split: str | None) -> bool:
        """Read all pages of one file, and check its rows unless `split` is None (rejects).

        Whether all are right; the finding names the first rows that are not."""
        if split is not None and split != self._split:
            self._split, self._last = split, None
            self._content.begin(split)
        row = 0
        batches = self._batches(path)
        while True:
            try:
                batch = next(batches, None)
                wrong = None if batch is None or split is None else self._wrong(batch)
            except PARQUET_ERRORS as error:
                self._add("page-damaged", f"{path}, after row {row}: {said(error)}", path)
                return False
            if batch is None:
                return True
            if wrong is not None:
                code, message = wrong
                self._add(code, f"{path}, rows {row} to {row + batch.num_rows - 1}: {message}", path)
                return False
            row += batch.num_rows

    def finish(self) -> None:
        """After the last file."""
        if not self._shard.chunks:
            return
        pinned = self._shard.chunks[0].object
        # Where a file cannot be read or a row is wrong, that is told; what follows from it is not.
        if self._sound and (self._content.length, f"sha256:{self._content.sha256}") != (
            pinned.size,
            pinned.checksum,
        ):
            self._add("rows-differ", "its rows are not those that the plan pins", None)

    def _batches(self, path: str) -> Iterator[pa.RecordBatch]:
        with self._store.open_input(path) as file, passing_raised(f"cannot read {path}"):
            parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
            for group in range(parquet.num_row_groups):
                yield from parquet.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group])

    def _add(self, code: str, message: str, path: str | None) -> None:
        self._sound = False
        where = path or layout.commit_file(self._shard.number)
        told = message if path else f"shard {self._shard.number}: {message}"
        self._report.add(code, told, path=where, shard=self._shard.number)

    def _wrong(self, batch: pa.RecordBatch) -> tuple[str, str] | None:
        """The first thing that is wrong with some of the rows, or None."""
        provenance = batch.column("provenance")
        source, name, offset = (provenance.field(field) for field in ("source", "object", "offset"))
        made = pc.binary_join_element_wise(source, "/", name, "#", offset.cast(pa.string()), "")
        if not pc.all(pc.equal(made, batch.column("id"))).as_py():
            return "id-differs", "an id is not made of its row's provenance"
        self._content.add(batch)
        return None if self._derivation.kind == "compact" else self._misplaced(batch)

    def _misplaced(self, batch: pa.RecordBatch) -> tuple[str, str] | None:
        keys = order_keys(batch, self._derivation.seed)
        if (shards_of_keys(keys, self._derivation.shards) != self._shard.number).any():
            return "row-misplaced", "a row is dealt to another shard"
        ids = batch.column("id")
        if self._last is not None:
            keys = np.append(np.uint64(self._last[0]), keys)
            ids = pa.concat_arrays([pa.array([self._last[1]], pa.string()), ids])
        if len(keys):
            self._last = int(keys[-1]), ids[-1].as_py()
        tied = np.flatnonzero(keys[1:] == keys[:-1])
        later = all(ids[int(i)].as_py().encode() < ids[int(i) + 1].as_py().encode() for i in tied)
        if (keys[1:] < keys[:-1]).any() or not later:
            return "row-order", "rows are not in the order of their keys, or an id is there twice"
        return None
