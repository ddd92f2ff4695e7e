"""The last steps of deriving a dataset: its plan, once all rows are written, then its commits and its card.

The plan pins the rows of each shard: an object for each, of the size and sha256 of their content
(`skyhaul.shards.row_content`). So what was written is held against a plan like what was hauled, and `verify`
proves it by the same means.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import pyarrow as pa
import yaml

from skyhaul.dataset.card import write_card
from skyhaul.dataset.commits.record_files import write_commit
from skyhaul.dataset.commits.sealing import seal_full_groups
from skyhaul.dataset.runs import write_run
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.sums import DATA_FILE
from skyhaul.dataset.survey import Survey, survey
from skyhaul.derived.derivation import SOURCE, Derivation, claimed
from skyhaul.derived.spec import DeriveSpec, Written
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.plan_digest import ObjectsDigest, generation_digest
from skyhaul.planning.store.publishing import publish
from skyhaul.planning.store.table_writer import (
    chunk_row,
    new_table,
    object_row,
    objects_header,
    shards_header,
)
from skyhaul.planning.versions import DERIVED_FORMAT
from skyhaul.shards import ENCODER_VERSION
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord, CommittedFile, CommittedSource, RecordCounts, RunRecord
from skyhaul_schemas.errors import StorageError, UsageError
from skyhaul_schemas.job.digest import digested_part
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.plan import DERIVED, OBJECTS_SCHEMA, SHARDS_SCHEMA, Chunk, PinnedObject, PlanHeader
from skyhaul_schemas.records import planned_schema


def object_of(written: Written) -> PinnedObject:
    """What the plan pins of a shard's rows."""
    digest = f"sha256:{written.sha256}"
    return PinnedObject(SOURCE, f"{written.shard:07d}", written.size, digest, digest)


def publish_plan(
    store: DatasetStore, spec: DeriveSpec, everything: Iterable[Written], about: str = "{}"
) -> str:
    """Make the plan of what was written; its digest.

    Args:
        store: The derived dataset.
        spec: How it is made.
        everything: All shards, in any order.
        about: JSON for the card.

    Raises:
        UsageError: More rows came out than went in.
        PlanMismatch: Another plan is there.
        StorageError: Shards or rows were lost on the way, or the storage fails otherwise."""
    shards = sorted(everything)
    derivation = _account(store, claimed(store), shards)
    loaded = _job(spec, derivation, shards, json.loads(about))
    part = digested_part(loaded.job, {SOURCE: [_SELECTION]})
    part[DERIVED] = derivation.to_json()
    digest = ObjectsDigest()
    with new_table(store, OBJECTS_SCHEMA) as objects, new_table(store, SHARDS_SCHEMA) as chunks:
        for written in shards:
            pinned = object_of(written)
            digest.add(pinned)
            objects.add(object_row(pinned))
            chunks.add(chunk_row(Chunk(written.shard, 0, pinned, 0, pinned.size)))
        objects.finish(objects_header(digest.hexdigest(), len(shards)))
        size = sum(written.size for written in shards)
        counts = dict.fromkeys(("objects", "chunks", "shards"), len(shards))
        header = PlanHeader(
            digest="",
            name=loaded.job.name,
            job=part,
            fingerprint=derivation.fingerprint,
            objects_digest=digest.hexdigest(),
            objects=len(shards),
            chunks=len(shards),
            shards=len(shards),
            source_bytes=size,
            by_source={SOURCE: {**counts, "bytes": size, "needed": size, "first_shard": 0}},
            empty=sum(not written.size for written in shards),
            format=DERIVED_FORMAT,
        )
        header = replace(header, digest=generation_digest(header))
        chunks.finish(shards_header(header))
    return publish(store, objects.file, chunks.file, loaded.text, header).digest


def _account(store: DatasetStore, derivation: Derivation, shards: list[Written]) -> Derivation:
    """The derivation with what became of the inputs' rows."""
    if [written.shard for written in shards] != list(range(derivation.shards)):
        raise StorageError(
            f"of {derivation.shards} shards of dataset {store.place} {len(shards)} were written: the runner"
            " lost some; run the same command again"
        )
    rows = sum(written.rows for written in shards)
    missing = derivation.rows - rows
    if not derivation.inputs or not missing:
        return derivation
    if derivation.kind != "write":
        raise StorageError(
            f"{derivation.rows:,} rows went into dataset {store.place} and {rows:,} came out: the runner lost"
            " or repeated some; choose another folder, and run the same command again"
        )
    if missing < 0:
        raise UsageError(
            f"dataset {store.place}: {rows:,} rows were written, and its inputs have {derivation.rows:,}; a"
            " row may be left out or changed, none may be added"
        )
    return replace(derivation, dropped={f"left out by {derivation.made_by}": missing})


_SELECTION = "data/*/*.parquet"


def _job(spec: DeriveSpec, derivation: Derivation, shards: list[Written], about: dict[str, str]) -> LoadedJob:
    """The job that the dataset keeps: for its name, schema, sizes and card. Nothing is hauled by it."""
    names = [each.name for each in derivation.inputs]
    own = planned_schema(derivation.schema)
    name = spec.name or "-".join([*(names[:1] or ["rows"]), derivation.kind])[:64]
    content = {
        "version": 1,
        "name": name,
        "dataset": ".",
        "seed": derivation.seed,
        "schema": own.as_job() if isinstance(own, OwnSchema) else own,
        "sources": {SOURCE: {"url": _SELECTION, "format": "parquet"}},
        "shards": {
            "target_size": derivation.target_size,
            **derivation.encoding,
            "splits": _shares(shards),
        },
        **({"about": about} if about else {}),
    }
    head = f"# Derived ({derivation.kind}); {layout.DERIVATION} says from what. Nothing is hauled by it.\n"
    text = head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return parse_job(text, layout.JOB, os.environ)


def _shares(shards: list[Written]) -> dict[str, float]:
    """The splits there are, of equal shares: rows kept theirs, and none was dealt."""
    names: set[str] = set()
    for written in shards:
        for file in json.loads(written.files):
            match = DATA_FILE.fullmatch(file["path"])
            names |= {match[2]} if match else set()
    found = sorted(names) or ["train"]
    return {name: 1 / len(found) for name in found}


def commit_written(store: DatasetStore, plan: str, written: Written) -> CommitRecord:
    """Commit a shard whose files are in place; the record that stands.

    Raises:
        CommitConflict: Another one stands there.
        StorageError: The storage fails otherwise."""
    pinned = object_of(written)
    record = CommitRecord(
        shard=written.shard,
        plan=plan,
        source=SOURCE,
        files=[CommittedFile.model_validate(file) for file in json.loads(written.files)],
        sources=[CommittedSource(object=pinned.path, ranges=[(0, pinned.size)], sha256=written.sha256)],
        records=RecordCounts(read=written.rows, written=written.rows, filtered=0, rejected=0),
        transfer={},
        started=written.started,
        finished=_now(),
        versions={
            "skyhaul": version("skyhaul"),
            "skyhaul.shards": str(ENCODER_VERSION),
            "pyarrow": pa.__version__,
        },
    )
    return write_commit(store, record)


def finish(store: DatasetStore, started: str, runner: str) -> RunRecord:
    """Seal, write card and run record, and clear the runs away; what it came to. Raises StorageError."""
    begun = datetime.fromisoformat(started)
    with closing(Plan.open(store)) as plan:
        seal_full_groups(plan, store)
        seen = survey(plan, store)
        loaded = parse_job(store.read_bytes(layout.JOB).decode(), layout.JOB, os.environ)
        write_card(store, plan, seen, loaded.job)
        run = _run(plan.header, seen, begun, runner)
    write_run(store, begun, run)
    _clear_runs(store)
    return run


def _run(header: PlanHeader, seen: Survey, begun: datetime, runner: str) -> RunRecord:
    return RunRecord(
        # By what it is of, so that a bundle that is done again writes the same record.
        id=f"{begun:%Y%m%dT%H%M%SZ}-{_name_of(header, begun)}",
        plan=header.digest,
        runner=runner,
        started=begun.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        finished=_now(),
        seconds=round((datetime.now(UTC) - begun).total_seconds(), 3),
        outcome="incomplete" if seen.shards_left else "done",
        shards_planned=header.shards,
        shards_committed=seen.shards_committed,
        shards_failed=seen.shards_failed,
        shards_deferred=0,
        shards_left=seen.shards_left,
        objects=seen.objects_committed,
        source_bytes=seen.source_bytes_committed,
        dataset_bytes=seen.dataset_bytes,
        records=seen.records,
        damaged_objects=seen.damaged_objects,
        transfer={},
    )


def _name_of(header: PlanHeader, begun: datetime) -> str:
    return hashlib.sha256(f"{header.digest} {begun.isoformat()}".encode()).hexdigest()[:8]


def _clear_runs(store: DatasetStore) -> None:
    for path in list(store.list(layout.SHUFFLE)):
        store.remove(path)
    if store.local_root is not None:
        root = store.local_root / layout.SHUFFLE
        for folder in [*root.glob("*"), root]:
            with suppress(OSError):
                folder.rmdir()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
