"""The public Beam transforms. The DoFns stay inside.

Beam itself is imported with the first of them: the driver of `skyhaul run` lies in this package too, and says
by itself when Beam is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyhaul.beam.finishing import FinishHaul
    from skyhaul.beam.transforms import DealLots, HaulLots, HaulShards, SummarizeReceipts

__all__ = ["DealLots", "FinishHaul", "HaulLots", "HaulShards", "SummarizeReceipts"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from skyhaul.beam import finishing, transforms

    return getattr(finishing if name == "FinishHaul" else transforms, name)
