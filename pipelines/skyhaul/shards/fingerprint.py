"""What of this package reaches a shard's bytes, for the plan's encoder fingerprint."""

from __future__ import annotations

import pyarrow as pa

ENCODING = 1
"""Raised whenever equal rows would give other bytes: row-group borders, settings, ids, splits, order."""


def encoder_fingerprint() -> dict[str, str]:
    """Name -> version of what writes shards; decoders add their own (`Decoder.fingerprint`)."""
    return {"skyhaul-shards": str(ENCODING), "pyarrow": pa.__version__}
