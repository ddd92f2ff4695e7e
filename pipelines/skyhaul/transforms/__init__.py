"""Transforms that a job declares, as functions over Arrow batches of a shard's rows."""

from skyhaul.transforms.registry import build_transforms, check_transforms, transforms_fingerprint

__all__ = ["build_transforms", "check_transforms", "transforms_fingerprint"]
