"""Shards: decoded batches in, canonical Parquet files and a commit record out."""

ENCODER_VERSION = 3
"""Raised whenever equal rows would give other bytes: row-group borders, settings, ids, splits, order. It is
part of a plan's fingerprint, so that no worker of another version adds shards of other bytes to a dataset
(docs/versions.md); `tests/shards/test_byte_identity.py` holds bytes and number together."""
