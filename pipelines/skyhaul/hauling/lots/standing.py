"""What a lot's shards come to, each of them: those that are to be hauled, and receipts of the others.

So what a lot gives is a function of the lot and the dataset. A bundle that a runner repeats, since the worker
that did it first was lost, gives the receipts that were lost with it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from skyhaul.dataset.commits.record_files import read_commit
from skyhaul.dataset.commits.valid_commits import verdicts_of
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.lots.pending import GroupPart, Pending, planned
from skyhaul.hauling.receipts import FAILED, Receipt, receipt_of, receipt_of_failure
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul_schemas import layout
from skyhaul_schemas.errors import RecordDamaged
from skyhaul_schemas.plan import Shard


def shards_and_receipts(
    context: WorkerContext, config: HaulConfig, pending: Pending
) -> Iterator[Shard | Receipt]:
    """A shard or a receipt for each number, rising.

    Of a sealed group one file is read; commit records are read one by one elsewhere, some of them at a time.

    Args:
        context: The process's part in the haul.
        config: The haul that receipts are of.
        pending: The shards in question.

    Raises:
        StorageError: The dataset cannot be read."""
    for part in pending.groups():
        receipts = _receipts(context, config, part)
        overtaken = {number for number, receipt in receipts.items() if receipt is None}
        items: list[Iterator[Shard | Receipt]] = [
            planned(context.plan, part.pending | overtaken),
            (receipt for _, receipt in sorted(receipts.items()) if receipt is not None),
        ]
        yield from heapq.merge(*items, key=number_of)


def number_of(item: Shard | Receipt) -> int:
    """The shard's number."""
    return item.number if isinstance(item, Shard) else item.shard


def _receipts(context: WorkerContext, config: HaulConfig, part: GroupPart) -> dict[int, Receipt | None]:
    """By shard, of those that are not pending; None for one whose record an amendment has overtaken."""
    found: dict[int, Receipt | None] = {
        number: receipt_of_failure(config, failure) for number, failure in part.failed.items()
    }
    if not part.recorded:
        return found
    plan = context.plan
    validator = CommitValidator(plan)
    for number, verdict in verdicts_of(
        validator, context.store, part.group, part.recorded, sealed=part.sealed
    ):
        if verdict.record is not None:
            found[number] = receipt_of(config, verdict.record)
        elif plan.is_amended(number) and _is_overtaken(context, number):
            found[number] = None
        else:
            why = verdict.fault.why if verdict.fault is not None else ""
            found[number] = Receipt(
                config.dataset,
                config.run,
                plan.digest_of(number),
                number,
                validator.source_of(number),
                FAILED,
                fresh=False,
                kind=RecordDamaged.__name__,
                reason=f"{layout.commit_file(number)} stands for no shard: {why}",
            )
    return found


def _is_overtaken(context: WorkerContext, number: int) -> bool:
    try:
        record = read_commit(context.store, number)
    except RecordDamaged:
        return False
    return record is not None and context.plan.outdates_commit(record)
