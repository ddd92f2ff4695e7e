"""Certify a dataset: our own proof first, then the footers, a sample encoded again, and the engines."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from skyhaul.certify.agreement import disagreement
from skyhaul.certify.certificate import Certificate
from skyhaul.certify.engine_process import EngineFailed, missing, run_engine
from skyhaul.certify.engine_reading import Reading, Request, schema_of
from skyhaul.certify.engines import ENGINES
from skyhaul.certify.footers import Footers
from skyhaul.certify.local_copy import on_local_disk
from skyhaul.certify.same_bytes import other_encoder, reencoded_differently
from skyhaul.dataset.commits.record_files import commits, read_commit
from skyhaul.dataset.commits.shard_set import ShardSet
from skyhaul.dataset.parquet_errors import PARQUET_ERRORS, said
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul.verification.findings import VerifyReport
from skyhaul_schemas import layout
from skyhaul_schemas.job.shards import FILE_LIMIT, ROW_GROUP_LIMIT
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import planned_schema, shard_schema
from skyhaul_schemas.storage_errors import passing_raised
from skyhaul_schemas.units import format_size, moment_text

SAMPLED = 3
"""Shards that are encoded again: the first, the last and one between. All would be the encoding of
the whole dataset once more. Chosen, not measured."""

Step = Callable[[str], None]
"""Told what is being done."""


def certify_dataset(
    store: DatasetStore,
    *,
    engines: Sequence[str],
    required: bool,
    loader_workers: int | None,
    engine_limit: float,
    step: Step,
) -> Certificate:
    """Hold the dataset against all checks; nothing is written into it.

    Args:
        store: The dataset.
        engines: Names of ENGINES.
        required: An engine that is not installed is a miss.
        loader_workers: Of a training job, or None.
        engine_limit: Seconds for each engine.
        step: Told what is being done, in words for people.

    Raises:
        UsageError: Where there is no plan, or no room for a copy of a dataset that is not on local disk.
        StorageError: The storage fails otherwise."""
    step("every page, digest, id and provenance")
    report = verify_dataset(store, deep=True)
    certificate = Certificate(
        plan=report.plan,
        skyhaul=version("skyhaul"),
        at=moment_text(datetime.now(UTC), "seconds"),
        shards=report.shards,
        shards_left=report.shards_left,
        shards_failed=report.shards_failed,
        damaged_objects=report.damaged_objects,
        rows=report.rows,
        bytes=report.bytes,
    )
    _verified(report, certificate)
    # Engines would tell of the same damage in other words.
    if certificate.missed or certificate.shards_left:
        return certificate
    with closing(Plan.open(store)) as plan, tempfile.TemporaryDirectory(prefix="skyhaul-certify-") as folder:
        seen = survey(plan, store)
        certificate.splits = {
            name: {"files": split.files, "rows": split.rows} for name, split in seen.splits.items()
        }
        step("footers and page headers")
        committed = _check_footers(store, certificate)
        _check_workers(seen, loader_workers, certificate)
        step("a sample encoded again")
        _check_same_bytes(store, plan.header, committed, Path(folder), certificate)
        if store.local_root is None and seen.splits:
            step("copying it for the engines")
        root = on_local_disk(store, Path(folder), report.bytes)
        _check_engines(
            root, plan.header, seen, Path(folder), engines, required, engine_limit, step, certificate
        )
    return certificate


def _verified(report: VerifyReport, certificate: Certificate) -> None:
    # An earlier certificate that rots is made anew: it is a finding of `verify`, and none against the data.
    findings = [str(finding) for finding in report.findings if finding.path != layout.CERTIFICATE]
    wrong = None
    if findings:
        total = report.findings_total - (len(report.findings) - len(findings))
        more = f" and {total - 1:,} more" if total > 1 else ""
        wrong = f"{findings[0]}{more}; see `skyhaul verify --deep`"
    certificate.add(
        "verified",
        wrong,
        f"{report.files:,} files, {report.rows:,} rows: digests, pages, ids, provenance, splits, counts",
    )


def _check_footers(store: DatasetStore, certificate: Certificate) -> ShardSet:
    """The committed shards that have rows."""
    footers = Footers()
    unreadable: list[str] = []

    def taken() -> list[int]:
        numbers = []
        for record in commits(store):
            for file in record.files:
                try:
                    footers.add(store, file.path)
                except PARQUET_ERRORS as error:
                    unreadable.append(f"{file.path} cannot be read ({said(error)})")
            if record.files:
                numbers.append(record.shard)
        return numbers

    committed = ShardSet(taken())
    if unreadable:
        certificate.add("footers", unreadable[0], "")
    # Sorted, so that two certificates of one dataset say the same.
    prints = sorted(footers.fingerprints)
    certificate.schema_fingerprint = prints[0] if len(prints) == 1 else ""
    certificate.add(
        "one schema",
        f"{len(prints)} different schemas" if len(prints) > 1 else None,
        f"fingerprint {prints[0][:16]} in {footers.files:,} files" if prints else "no files",
    )
    certificate.add(
        "row groups",
        _first(footers.groups_too_large, f"has more than {format_size(ROW_GROUP_LIMIT)}"),
        f"{footers.row_groups:,}, the largest {format_size(footers.largest_group)} uncompressed"
        f" (bound 100 MB)",
    )
    certificate.add(
        "file sizes",
        _first(footers.files_too_large, f"has more than {format_size(FILE_LIMIT)}"),
        f"the largest {format_size(footers.largest_file)} uncompressed (bound 500 MB)",
    )
    certificate.add(
        "page checksums",
        _first(footers.without_checksums, "states no checksum"),
        "every column chunk states them, and every page read was as stated",
    )
    return committed


def _first(wrong: list[str], what: str) -> str | None:
    if not wrong:
        return None
    return f"{wrong[0]} {what}" + (f", and {len(wrong) - 1:,} more" if len(wrong) > 1 else "")


def _check_workers(seen: Survey, workers: int | None, certificate: Certificate) -> None:
    """A loader deals whole files to its workers: one with fewer files than workers leaves some idle.

    What counts is the split that is trained on, which is the largest."""
    if not seen.splits:
        certificate.skip("loader workers", "there are no files")
        return
    # By name among equals: what is said must not depend on the order of a mapping.
    name, split = max(seen.splits.items(), key=lambda item: (item[1].rows, item[0]))
    wrong = None
    if workers is not None and split.files <= workers:
        wrong = f"split {name} has {split.files:,} files, not more than {workers:,} loader workers"
    limit = f"{workers:,}" if workers is not None else f"up to {max(1, split.files - 1):,}"
    certificate.add("loader workers", wrong, f"split {name} has {split.files:,} files: enough for {limit}")


def _check_same_bytes(
    store: DatasetStore, header: PlanHeader, committed: ShardSet, folder: Path, certificate: Certificate
) -> None:
    name = "same rows, same bytes"
    numbers = list(committed)
    sample = sorted(
        {numbers[i * (len(numbers) - 1) // (SAMPLED - 1)] for i in range(SAMPLED)} if numbers else ()
    )
    if not sample:
        certificate.skip(name, "there are no rows")
        return
    done = []
    for number in sample:
        record = read_commit(store, number)
        if record is None:
            continue
        other = other_encoder(record)
        if other is not None:
            # Not made and not missed: a dataset stays certifiable when skyhaul moves on.
            certificate.skip(name, other)
            return
        try:
            with passing_raised(f"shard {number} cannot be encoded again"):
                wrong = reencoded_differently(store, header, record, folder / "encoded")
        except PARQUET_ERRORS as error:
            wrong = f"shard {number} ({said(error)})"
        if wrong is not None:
            certificate.add(name, f"{wrong} comes out with other bytes when its rows are encoded again", "")
            return
        done.append(f"{number}")
    certificate.add(name, None, f"shards {', '.join(done)} come out with their committed digests")


def _check_engines(
    root: Path,
    header: PlanHeader,
    seen: Survey,
    folder: Path,
    engines: Sequence[str],
    required: bool,
    limit: float,
    step: Step,
    certificate: Certificate,
) -> None:
    schema = planned_schema(header.job["schema"])
    due = schema_of(shard_schema(schema))
    first: Reading | None = None
    for name in ENGINES:
        # pyarrow is what the others are held against.
        if name not in engines and name != "pyarrow":
            continue
        reason = missing(ENGINES[name])
        if not seen.splits:
            certificate.skip(name, "there are no files to open")
            continue
        if reason is not None:
            if required:
                certificate.add(name, reason, "")
            else:
                certificate.skip(name, reason)
            continue
        step(f"reading with {name}")
        begun = time.monotonic()
        try:
            # One for each engine: what one leaves (a cache, a lock) must not help or hinder the next. What
            # cannot be removed now, since a killed process has just written it, goes with the parent.
            with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as sandbox:
                # By a plain name: engines get globs, in which a `[` or `*` of the real path would count.
                (Path(sandbox) / "dataset").symlink_to(root.resolve(), target_is_directory=True)
                request = Request.of("dataset", tuple(seen.splits), schema)
                reading = run_engine(ENGINES[name], request, Path(sandbox), limit)
        except EngineFailed as error:
            certificate.add(name, printable(str(error)), "")
            # Without pyarrow's reading there is nothing to hold the others against.
            if first is None:
                return
            continue
        first = first or reading
        certificate.engines[name] = reading
        certificate.seconds[name] = round(time.monotonic() - begun, 2)
        rows = sum(split.rows for split in reading.splits.values())
        body = sum(split.body_bytes for split in reading.splits.values())
        unique = ", ids distinct" if any(s.unique_ids is not None for s in reading.splits.values()) else ""
        certificate.add(
            name,
            disagreement(reading, seen.splits, first, due),
            f"{reading.version}: {rows:,} rows, {format_size(body)} of {request.body}, {len(due)} columns"
            f"{unique}",
        )
