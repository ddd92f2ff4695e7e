"""Every page of a shard's files, and every row's id, provenance and split.

Ids are unique in the dataset because of what is shown here: each id is made of its row's provenance; each
row comes from a chunk of its own shard, in the chunks' order and with rising offsets; each is in the
split that its id is dealt to; and chunks of different shards do not overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards.splits import SplitRule, object_key, row_hashes
from skyhaul.shards.truncated_images import TruncatedImages
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.plan import Shard
from skyhaul_schemas.storage_errors import passing_raised

_BATCH_ROWS = 4096
"""Rows that are read at once; large ones are bounded by their row group. Chosen, not measured."""

_RANK_SHIFT = 48
"""An object's rank among those of the shard stands above its offset in one 64-bit integer: room for 32,768
objects (a shard has 20,000 chunks at most, and a group of 256 more) of 256 TiB each."""

Int64s = npt.NDArray[np.int64]


class RowsCheck:
    """Reads the files of one shard, split by split and part by part."""

    def __init__(
        self,
        store: DatasetStore,
        shard: Shard,
        rule: SplitRule,
        seed: int,
        report: VerifyReport,
        slack: int = 0,
        truncated: TruncatedImages | None = None,
    ) -> None:
        """Take in what the plan says of the shard.

        Args:
            store: The dataset.
            shard: The shard.
            rule: Deals hashes to splits.
            seed: The job's, which splits are dealt by.
            report: Takes the findings.
            slack: How far behind its record's first byte a row may be placed (readings of a wide table lie
                one byte apart), so that a record at a chunk's end may have rows behind that end.
            truncated: Is told of the rows that are right."""
        self._store = store
        self._shard = shard
        self._rule = rule
        self._seed = seed
        self._report = report
        self._slack = slack
        self._truncated = truncated
        # Of each split, across its files: (chunk, offset) of the last row that was right.
        self._last: dict[str, tuple[int, int]] = {}
        names = sorted({chunk.object.path for chunk in shard.chunks})
        self._names = pa.array(names, pa.string())
        self._keys = np.array([object_key(shard.source, name, seed) for name in names], dtype=np.uint64)
        # By rank and offset a row's chunk is found by one binary search for a whole batch.
        ranks = {name: rank for rank, name in enumerate(names)}
        starts = np.array(
            [(ranks[c.object.path] << _RANK_SHIFT) + c.offset for c in shard.chunks], dtype=np.int64
        )
        self._order = np.argsort(starts, kind="stable")
        self._starts = starts[self._order]
        # A whole object may be compressed: offsets then count in what it holds, which has no known end.
        self._stops = np.array(
            [
                np.iinfo(np.int64).max if c.length == c.object.size else c.offset + c.length
                for c in shard.chunks
            ],
            dtype=np.int64,
        )[self._order]
        lengths = np.array([c.length for c in shard.chunks], dtype=np.int64)[self._order]
        self._continues = np.append(False, (self._starts + lengths)[:-1] == self._starts[1:])
        versions = {c.object.path: c.object.version for c in shard.chunks}
        self._versions = pa.array([versions[name] for name in names], pa.string())

    def check(self, path: str, split: str | None) -> bool:
        """Read all pages of one file, and check its rows unless `split` is None (rejects).

        Whether all are right; the finding names the first rows that are not."""
        with self._store.open_input(path) as file:
            row = 0
            batches = _batches(file, path)
            while True:
                try:
                    batch = next(batches, None)
                except PARQUET_ERRORS as error:
                    self._add("page-damaged", f"{path}, after row {row}: {said(error)}", path)
                    return False
                if batch is None:
                    return True
                try:
                    # Rejects have no ids and lie where they lay: to read their pages is all.
                    wrong = None if split is None else self._wrong(batch, split)
                except pa.ArrowException as error:
                    wrong = ("page-damaged", said(error))
                if wrong is not None:
                    code, message = wrong
                    self._add(code, f"{path}, rows {row} to {row + batch.num_rows - 1}: {message}", path)
                    return False
                if self._truncated is not None and split is not None:
                    self._truncated.add(batch)
                row += batch.num_rows

    def _add(self, code: str, message: str, path: str) -> None:
        self._report.add(code, message, path=path, shard=self._shard.number)

    def _wrong(self, batch: pa.RecordBatch, split: str) -> tuple[str, str] | None:
        """The first thing that is wrong with some of the rows, or None."""
        provenance = batch.column("provenance")
        source, name, version, offset = (
            provenance.field(field) for field in ("source", "object", "version", "offset")
        )
        # Made anew and compared as a column: no id is taken apart.
        made = pc.binary_join_element_wise(source, "/", name, "#", offset.cast(pa.string()), "")
        if not pc.all(pc.equal(made, batch.column("id"))).as_py():
            return "id-differs", "an id is not made of its row's provenance"
        if not pc.all(pc.equal(source, self._shard.source)).as_py():
            return "provenance-outside", f"a row comes from another source than {self._shard.source}"
        ranks = pc.index_in(name, self._names)
        if ranks.null_count:
            return "provenance-outside", "a row comes from an object that is not of its shard"
        if not pc.all(pc.equal(self._versions.take(ranks), version)).as_py():
            return "provenance-outside", "a row comes from another version than the plan pinned"
        return self._misplaced(ranks.to_numpy().astype(np.int64), offset.to_numpy(), split)

    def _misplaced(self, ranks: Int64s, offsets: Int64s, split: str) -> tuple[str, str] | None:
        chunk, at = self._last.get(split, (-1, -1))
        places = (ranks << _RANK_SHIFT) + offsets
        found = np.searchsorted(self._starts, places, side="right") - 1
        if (found < 0).any() or (self._starts[found] >> _RANK_SHIFT != ranks).any():
            return "provenance-outside", "a row starts before the chunks of its shard"
        self._keep_with_record(found, places, chunk)
        if (offsets - self._slack >= self._stops[found]).any():
            return "provenance-outside", "a row starts outside of the chunks of its shard"
        dealt = self._rule.deal(row_hashes(self._keys[ranks], offsets))
        if (dealt != self._rule.names.index(split)).any():
            return "split-differs", f"a row is dealt to another split than {split}"
        chunks = self._order[found]
        chunks_before, before = np.append(chunk, chunks[:-1]), np.append(at, offsets[:-1])
        if ((chunks == chunks_before) & (offsets == before)).any():
            return "id-twice", "an id is there twice"
        if ((chunks < chunks_before) | ((chunks == chunks_before) & (offsets < before))).any():
            return "row-order", "rows are not in the order of their chunks and offsets"
        self._last[split] = (int(chunks[-1]), int(offsets[-1]))
        return None

    def _keep_with_record(self, found: npt.NDArray[np.intp], places: Int64s, chunk: int) -> None:
        """Rows just behind a border are of the chunk before it where the row before them is of that one.

        Few rows lie so near to a border, so they are looked at one by one."""
        near = self._continues[found] & (places - self._starts[found] < self._slack)
        for row in np.flatnonzero(near):
            before = self._order[found[row - 1]] if row else chunk
            if before == self._order[found[row] - 1]:
                found[row] -= 1


def _batches(file: BinaryIO, path: str) -> Iterator[pa.RecordBatch]:
    """The file's batches, row group by row group: one across groups of large rows would not be bounded."""
    with passing_raised(f"cannot read {path}"):
        parquet = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False)
        for group in range(parquet.num_row_groups):
            yield from parquet.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group])


def recount_of(record: CommitRecord) -> TruncatedImages | None:
    """What counts the rows anew.

    None where the record states nothing, or was written by a release that told truncated images otherwise, so
    that its count is not ours."""
    if record.truncated_by is None:
        return None
    from skyhaul_connectors.formats.media.image_facts import IMAGE_VERSION  # loads what tells media types

    if record.versions.get("skyhaul.image") != IMAGE_VERSION:
        return None
    return TruncatedImages()


def truncated_difference(record: CommitRecord, counted: TruncatedImages) -> str | None:
    """What is wrong with the record's count, where all rows were counted; None where nothing is."""
    stated, found = record.truncated_by or {}, counted.by_format()
    if stated == found:
        return None
    return f"its rows hold {_said(found)}, its commit record says {_said(stated)}"


def _said(by_format: Mapping[str, int]) -> str:
    told = ", ".join(f"{count} {kind}" for kind, count in by_format.items())
    return f"{told} truncated" if told else "no truncated image"
