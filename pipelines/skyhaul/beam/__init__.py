"""The public Beam transforms. The DoFns stay inside.

Beam itself is imported with the first of them: the driver of `skyhaul run` lies in this package too, and says
by itself when Beam is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skyhaul.beam.datasets.derive import CompactShards, ReshardRows, WriteShards
    from skyhaul.beam.datasets.describe import DescribeRows
    from skyhaul.beam.datasets.read_shards import ReadShards
    from skyhaul.beam.finishing import FinishHaul
    from skyhaul.beam.summary import HaulSummary, RequireComplete
    from skyhaul.beam.transforms import DealLots, Haul, HaulLots, HaulResult, HaulShards, SummarizeReceipts
    from skyhaul.hauling.receipts import Receipt

__all__ = [
    "CompactShards",
    "DealLots",
    "DescribeRows",
    "FinishHaul",
    "Haul",
    "HaulLots",
    "HaulResult",
    "HaulShards",
    "HaulSummary",
    "ReadShards",
    "Receipt",
    "RequireComplete",
    "ReshardRows",
    "SummarizeReceipts",
    "WriteShards",
]

_ELSEWHERE = {
    "CompactShards": "datasets.derive",
    "DescribeRows": "datasets.describe",
    "FinishHaul": "finishing",
    "HaulSummary": "summary",
    "ReadShards": "datasets.read_shards",
    "RequireComplete": "summary",
    "ReshardRows": "datasets.derive",
    "WriteShards": "datasets.derive",
}
"""Where those lie that are not in `transforms`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'transforms')}"), name)
