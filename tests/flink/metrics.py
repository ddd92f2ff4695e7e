"""skyhaul's counters as Flink's REST API tells them.

Beam keeps all metrics of a job in one accumulator, whose text is its `MetricResults` as JSON: monitoring
infos, with a sum as a base64 varint (beam:metrics:sum_int64:v1 in Beam's metrics.proto).
"""

from __future__ import annotations

import base64
import json
from typing import Any

from standalone import Standalone

_COUNTER = "beam:metric:user:sum_int64:v1"


def counters(cluster: Standalone, job: str) -> dict[str, int]:
    """Value by name."""
    told = cluster.rest(f"/jobs/{job}/accumulators")["user-task-accumulators"]
    (metrics,) = [json.loads(a["value"]) for a in told if a["name"] == "__metricscontainers"]
    return {
        info["labels"]["NAME"]: _varint(base64.b64decode(info["payload"]))
        for info in _infos(metrics)
        if info["urn"] == _COUNTER and info["labels"]["NAMESPACE"] == "skyhaul"
    }


def _infos(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = metrics["metrics"]["attempted"]
    return found


def _varint(data: bytes) -> int:
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data))
