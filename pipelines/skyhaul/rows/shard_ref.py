"""Whose shard: what a receipt, a commit record and a listing have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

from skyhaul_schemas.errors import UsageError


class ShardRef(NamedTuple):
    """One shard of one dataset."""

    dataset: str
    """Path or URL."""
    shard: int
    plan: str = ""
    """Digest of the generation that the shard is of; empty: whichever holds it now."""


def ref_of(receipt: Any) -> ShardRef | None:
    """The shard that a receipt speaks of; None where it was not committed, so that it has no rows.

    Args:
        receipt: Anything with `dataset` and `shard`; `plan` and `outcome` are read where there are any.

    Raises:
        UsageError: It is no receipt."""
    try:
        dataset, shard = receipt.dataset, receipt.shard
    except AttributeError:
        raise UsageError(
            f"{type(receipt).__name__} is no receipt of a shard: it needs `dataset` and `shard`; give"
            " receipts of a haul, or paths and URLs of datasets"
        ) from None
    if getattr(receipt, "outcome", "committed") != "committed":
        return None
    return ShardRef(str(dataset), int(shard), str(getattr(receipt, "plan", "")))
