"""The public Beam transforms. The DoFns stay inside.

Beam itself is imported with the first of them: the driver of `skyhaul run` lies in this package too, and says
by itself when Beam is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyhaul.beam.summary import HaulSummary, RequireComplete
    from skyhaul.beam.transforms import DealLots, Haul, HaulLots, HaulResult, HaulShards, SummarizeReceipts
    from skyhaul.hauling.receipts import Receipt

__all__ = [
    "DealLots", "Haul", "HaulLots", "HaulResult", "HaulShards", "HaulSummary", "Receipt", "RequireComplete",
    "SummarizeReceipts",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from skyhaul.beam import summary, transforms

    return getattr(transforms if hasattr(transforms, name) else summary, name)
