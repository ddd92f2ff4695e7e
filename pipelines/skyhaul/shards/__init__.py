"""Shards: decoded batches in, canonical Parquet files and a commit record out."""

ENCODER_VERSION = 3
"""Raised whenever equal rows would give other bytes: row-group borders, settings, ids, splits, order."""
