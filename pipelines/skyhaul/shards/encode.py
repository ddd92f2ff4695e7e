"""One shard, from its chunks' bytes to its commit record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version

import pyarrow as pa

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.shards import ENCODER_VERSION
from skyhaul.shards.chunk_digest import DigestedChunk
from skyhaul.shards.commit_shard import commit_shard
from skyhaul.shards.parquet import Compression, FinishedFile
from skyhaul.shards.passed_over import PassedOverCounts
from skyhaul.shards.reject_limit import RejectWatch
from skyhaul.shards.rejects import RejectsFile
from skyhaul.shards.shard_rows import EncodeRecipe, ShardRows
from skyhaul.shards.transform_step import Transform
from skyhaul_connectors.formats.protocol import ChunkBytes
from skyhaul_connectors.formats.records.joining import decode_together, grouped
from skyhaul_schemas.commit import CommitRecord, CommittedSource, RecordCounts, TransferCounts
from skyhaul_schemas.errors import ChecksumMismatch, Interrupted, SourceChanged
from skyhaul_schemas.job.fieldtypes import Ceiling
from skyhaul_schemas.plan import Chunk, Shard
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import decoded_schema
from skyhaul_schemas.units import moment_text


@cache
def _release() -> str:
    return version("skyhaul")


Settle = Callable[[DatasetStore, CommitRecord, Sequence[FinishedFile]], CommitRecord]
"""Takes the record and its files, in the order in which they come into place; gives the one that stands."""


def _nothing(chunk: Chunk) -> None:
    """What `done_with` does by default."""


def _no_check() -> None:
    """What `before_publishing` does by default."""


def encode_shard(
    shard: Shard,
    recipe: EncodeRecipe,
    open_chunk: Callable[[Chunk], ChunkBytes],
    store: DatasetStore,
    *,
    transfer: Callable[[], dict[str, TransferCounts]],
    started: str,
    cancelled: Callable[[], bool],
    done_with: Callable[[Chunk], None] = _nothing,
    before_publishing: Callable[[], None] = _no_check,
    ceiling: Ceiling | None = None,
    settle: Settle = commit_shard,
    transforms: Sequence[Transform] = (),
) -> CommitRecord:
    """Decode, transform, write and commit one shard; the record that stands afterwards.

    The files' bytes depend on the plan and the chunks' bytes alone. Data files come into place first, then
    the rejects, then the create-only commit record, so that a record never speaks of what is not there. A
    record that says the same stands already: that is success, and it is returned as it stands.

    Args:
        shard: The shard.
        recipe: How the job reads and encodes.
        open_chunk: Gives the bytes of a chunk.
        store: The dataset.
        transfer: Called once, for the commit record.
        started: UTC, RFC 3339.
        cancelled: Asked between batches.
        done_with: Called when a chunk's bytes are needed no more by this attempt.
        before_publishing: Called when the files are ready; what it raises leaves nothing behind.
        ceiling: What the source may reject; None: whatever it does.
        settle: Commits the files, or repairs a shard with them.
        transforms: The source's rules, in their order.

    Raises:
        CarriageError: From the chunks.
        DiskFull: The dataset's disk has no room left.
        StorageError: From the chunks, or of the dataset.
        DecodeError: Where the job says `fail`.
        TooManyRejects: Above `ceiling`.
        CommitConflict: What stands there already says otherwise.
        Interrupted: Once `cancelled`."""
    rows = ShardRows(store, shard.number, recipe, transforms)
    watch = RejectWatch(shard, ceiling)
    rejects = RejectsFile(store, shard.number, Compression(recipe.codec, recipe.level))
    passed_over = PassedOverCounts()
    nulled: Counter[str] = Counter()
    versions = {
        "skyhaul": _release(),
        "skyhaul.shards": str(ENCODER_VERSION),
        "pyarrow": pa.__version__,
    }
    try:
        sources = []
        expected = decoded_schema(recipe.schema)
        for decoder, chunks in grouped(shard.chunks, recipe.decoder):
            # Of the decoders that this shard used: `verify --deep` counts truncated images anew only where
            # they were told as they are here.
            versions.update(decoder.fingerprint)
            members = [DigestedChunk(open_chunk(chunk)) for chunk in chunks]
            damaged: set[int] = set()
            passed_over.begin(decoder, chunks)
            for place, step in decode_together(decoder, members):
                if cancelled():
                    raise Interrupted(f"shard {shard.number} was interrupted")
                _check_schema(step.batch, expected, decoder)
                obj = chunks[place].object
                rows.add(step.batch, obj)
                rejects.add(obj, step.rejects)
                passed_over.add(place, step)
                nulled.update(step.nulled)
                watch.note(obj, step.rejects)
                # After each step: steps are a function of the bytes, so the verdict is too, on every worker.
                watch.check(rows.read + rejects.count, rejects.count, ended=False)
                if step.damaged:
                    damaged.add(place)
            passed_over.end()
            # After the decoder is done with all that it joins: what it left unread is read and digested now,
            # so that the record's digests cover every planned byte.
            for place, (chunk, data) in enumerate(zip(chunks, members, strict=True)):
                sources.append(_taken(chunk, data, place in damaged))
                done_with(chunk)
        watch.check(rows.read + rejects.count, rejects.count, ended=True)
        files = rows.finish()
        rejects.finish()
        if cancelled():
            raise Interrupted(f"shard {shard.number} was interrupted")
        # The last moment at which nothing is published yet.
        before_publishing()
        record = CommitRecord(
            shard=shard.number,
            # The digest of the generation that holds the shard: an amendment may have come since the first.
            plan=shard.plan or recipe.plan,
            source=shard.source,
            files=[finished.entry for finished in files],
            rejects=next((finished.entry for finished in rejects.files.finished), None),
            sources=sources,
            records=RecordCounts(
                read=rows.read + rejects.count + passed_over.count,
                written=sum(finished.entry.rows for finished in files),
                filtered=sum(rows.filtered_by.values()),
                rejected=rejects.count,
                passed_over=passed_over.count,
            ),
            filtered_by=dict(sorted(rows.filtered_by.items())),
            passed_over_by=dict(sorted(passed_over.by_reason.items())),
            passed_over_first=passed_over.first,
            nulled_by=dict(sorted(nulled.items())),
            truncated_by=rows.truncated_by,
            transfer=transfer(),
            started=started,
            finished=moment_text(datetime.now(UTC)),
            versions=versions,
        )
        return settle(store, record, [*files, *rejects.files.finished])
    finally:
        rows.discard()
        rejects.files.discard()


def _check_schema(batch: pa.RecordBatch, expected: pa.Schema, decoder: object) -> None:
    if not batch.schema.equals(expected):
        raise TypeError(f"{type(decoder).__name__} yields {batch.schema}, not {expected}")


def _taken(chunk: Chunk, data: DigestedChunk, damaged: bool) -> CommittedSource:
    try:
        sha256 = data.sha256()
    except EOFError as error:
        raise SourceChanged(
            f"object {printable(chunk.object.path)} of source {chunk.object.source} ends at byte"
            f" {error.args[0]}, the plan pinned {chunk.object.size}; `skyhaul plan --amend` pins it anew"
        ) from None
    _hold(chunk, sha256)
    return CommittedSource(
        object=chunk.object.path,
        ranges=list(chunk.ranges),
        sha256=sha256,
        damaged=damaged,
        skipped=list(chunk.skipped),
    )


def _hold(chunk: Chunk, sha256: str) -> None:
    """Hold what was decoded against the sha256 of the source's list, if that is of just these bytes.

    The check before decoding read them once; the disk has given them out again since."""
    obj = chunk.object
    kind, _, stated = (obj.checksum or "").partition(":")
    whole = list(chunk.ranges) == [(0, obj.size)] and not chunk.skipped
    if whole and kind == "sha256" and stated.lower() != sha256:
        raise ChecksumMismatch(
            f"{obj.source}/{printable(obj.path)}: what was decoded has sha256 {sha256[:16]}…, the source's"
            f" list states {stated[:16]}…, as was found before; check the disk, then replay the shard"
        )
