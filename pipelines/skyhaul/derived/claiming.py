"""The first step of deriving a dataset: pin the inputs, and claim the folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

import yaml

from skyhaul.dataset.commits.valid_commits import failures
from skyhaul.dataset.inherited import sync_inherited
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import survey
from skyhaul.derived.derivation import (
    Derivation,
    Input,
    fingerprint_here,
    read_derivation,
    write_derivation,
)
from skyhaul.derived.inputs import InputFile, InputsTable, files_of, read_inputs
from skyhaul.derived.lots import compacted
from skyhaul.derived.spec import MOST_SHARDS, Claim, DeriveSpec
from skyhaul.planning.store.plan import Plan
from skyhaul.planning.store.publishing import refuse_foreign
from skyhaul.rows.committed_rows import CommittedRows
from skyhaul_schemas import layout
from skyhaul_schemas.commit import CommitRecord
from skyhaul_schemas.errors import InputIncomplete, UsageError
from skyhaul_schemas.job.about import AboutSpec
from skyhaul_schemas.job.shards import ShardsSpec
from skyhaul_schemas.records import BODIES, planned_schema


@dataclass(frozen=True, slots=True)
class InputDataset:
    """A dataset that rows are taken from."""

    dataset: str
    """Path or URL."""
    only: frozenset[int] | None = None
    """These shards; None: all, and then all have to be settled."""


def claim(
    store: DatasetStore, spec: DeriveSpec, inputs: Sequence[InputDataset], raw_bytes: int | None = None
) -> Claim:
    """Pin the inputs in the folder of the derived dataset. Done again it finds what it did.

    Args:
        store: The derived dataset.
        spec: How it is made.
        inputs: Where rows come from; `write` may do without.
        raw_bytes: Of `write`: those of all rows, where they are known.

    Raises:
        InputIncomplete: An input is not hauled yet.
        PlanMismatch: The folder holds another derivation.
        UsageError: It holds another dataset, or an input is none.
        StorageError: The storage fails otherwise."""
    sync_inherited(store)
    if read_derivation(store) is None:
        if Plan.exists(store):
            raise UsageError(f"dataset {store.place} holds a dataset already; choose another folder")
        refuse_foreign(store)
        store.probe()
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(CommittedRows(each.dataset))) for each in inputs]
        _check_inputs(store, opened)
        pins = [Pin(rows, each) for rows, each in zip(opened, inputs, strict=True)]
        table = InputsTable(store, (file for which, pin in enumerate(pins) for file in pin.files(which)))
        stack.callback(table.discard)
        derivation = _derivation(spec, pins, table, raw_bytes)
        # The derivation decides whose the folder is, and holds the digest of the table: so that comes second.
        write_derivation(store, derivation)
        table.publish()
        about = _about(opened)
    done = _is_done(store)
    return Claim(
        derivation.shards, derivation.rows, str(planned_schema(derivation.schema)), done, json.dumps(about)
    )


class Pin:
    """One input on its way to being pinned."""

    def __init__(self, rows: CommittedRows, dataset: InputDataset) -> None:
        self.header = rows.plan.header
        self._rows = rows
        self._dataset = dataset
        self._taken = 0

    def files(self, which: int) -> Iterator[InputFile]:
        """Its files. Raises InputIncomplete at the end, where shards are left to be hauled."""
        yield from files_of(which, self._records())
        left = self.header.shards - self._taken
        if not left or self._dataset.only is not None:
            return
        plan, store = self._rows.plan, self._rows.store
        failed = sum(failure.final and not plan.outdates(failure) for failure in failures(plan, store))
        if left > failed:
            raise InputIncomplete(
                f"dataset {store.place} is not whole: {left - failed:,} of {self.header.shards:,} shards are"
                " left; finish it with `skyhaul run`, then run the same command again"
            )

    def _records(self) -> Iterator[CommitRecord]:
        only = self._dataset.only
        if only is None:
            for record in self._rows.records():
                self._taken += 1
                yield record
        else:
            for shard in sorted(only):
                self._taken += 1
                yield self._rows.record(shard)

    def told(self) -> Input:
        """What the derivation says of it."""
        header = self.header
        return Input(header.name, header.digest, self._taken, header.shards - self._taken)


def _check_inputs(store: DatasetStore, opened: Sequence[CommittedRows]) -> None:
    plans: dict[str, str] = {}
    for rows in opened:
        place = rows.store.place
        other = plans.get(rows.plan.header.digest)
        plans[rows.plan.header.digest] = place
        if other is not None:
            raise UsageError(
                f"datasets {other} and {place} have the same plan: each row would be there twice"
            )
        if rows.store.url == store.url or (
            store.local_root is not None and rows.store.local_root == store.local_root
        ):
            raise UsageError(f"dataset {place} cannot be made of itself; choose another folder")
        if rows.schema != opened[0].schema:
            raise UsageError(
                f"datasets {opened[0].store.place} and {place} have other schemas; a dataset has one"
            )


def _derivation(
    spec: DeriveSpec, pins: Sequence[Pin], table: InputsTable, raw_bytes: int | None
) -> Derivation:
    digest = table.digest
    schema = pins[0].header.job["schema"] if pins else spec.schema
    if isinstance(schema, str) and schema not in BODIES:
        raise UsageError(f"there is no record schema {schema!r}; it is one of {', '.join(sorted(BODIES))}")
    return Derivation(
        kind=spec.kind,
        schema=schema,
        seed=spec.seed,
        target_size=spec.target_size,
        shards=_shards(spec, table, digest.raw_bytes if pins else raw_bytes or 0),
        made_by=spec.made_by,
        encoding=_encoding(pins),
        inputs=[pin.told() for pin in pins],
        files=digest.files,
        rows=digest.rows,
        files_digest=digest.hexdigest(),
        fingerprint=fingerprint_here(),
    )


def _shards(spec: DeriveSpec, table: InputsTable, raw_bytes: int) -> int:
    if spec.kind == "compact":
        count = sum(1 for _ in compacted(table.files(), spec.target_size))
    else:
        count = spec.shards or -(-raw_bytes // spec.target_size)
    if count > MOST_SHARDS:
        raise UsageError(f"{count:,} shards are more than {MOST_SHARDS:,}; raise the target size")
    return max(1, count)


def _encoding(pins: Sequence[Pin]) -> dict[str, Any]:
    shards = pins[0].header.job["shards"] if pins else ShardsSpec().model_dump()
    return {name: shards[name] for name in ("row_group_size", "file_size", "compression")}


def _about(opened: Sequence[CommittedRows]) -> dict[str, str]:
    """What the inputs' jobs say about them, where all say the same: a licence stays on its rows."""
    told: list[dict[str, str]] = []
    for rows in opened:
        try:
            # Text alone, as the job file's own reader takes it: a bare day is no date.
            job = yaml.load(rows.store.read_bytes(layout.JOB), Loader=yaml.BaseLoader)
            about = job.get("about") or {}
            AboutSpec.model_validate(about)
        except (FileNotFoundError, yaml.YAMLError, AttributeError, ValueError):
            about = {}
        # As it is written: what comes from the environment is not known here, and is no part of a dataset.
        told.append({key: value for key, value in about.items() if "${" not in str(value)})
    first = told[0] if told else {}
    return {key: value for key, value in first.items() if all(each.get(key) == value for each in told)}


def _is_done(store: DatasetStore) -> bool:
    if not Plan.exists(store):
        return False
    with closing(Plan.open(store)) as plan:
        return not survey(plan, store).shards_left


def members_of(store: DatasetStore, spec: DeriveSpec) -> Iterator[tuple[tuple[int, int], ...]]:
    """(input, shard) of each shard of a compacted dataset that is claimed. Raises PlanDamaged."""
    return compacted(read_inputs(store), spec.target_size)
