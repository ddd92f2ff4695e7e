"""The public Beam transforms. The DoFns stay inside."""

from skyhaul.beam.transforms import DealLots, HaulLots, HaulShards, SummarizeReceipts

__all__ = ["DealLots", "HaulLots", "HaulShards", "SummarizeReceipts"]
