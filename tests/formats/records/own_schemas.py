"""Record schemas of a job's own, for tests."""

from __future__ import annotations

from skyhaul_schemas.own_schema import OwnSchema

CHAT = OwnSchema.of(
    "chat",
    {
        "prompt": "string",
        "score": "float32",
        "weight": "float64",
        "count": "int16",
        "big": "uint64",
        "good": "bool",
        "day": "date32",
        "taken": "timestamp[ms, UTC]",
        "tags": "list<string>",
        "turns": "list<struct<role: string, tokens: int32, at: timestamp[us]>>",
        "grid": "list<list<float32>>",
        "where": "struct<lat: float64, lon: float64>",
        "offset": "int64",
        "length": "large_string",
    },
    ["prompt"],
)
"""One column of each kind, and two that are called as what a decoder adds."""
