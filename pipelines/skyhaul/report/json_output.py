"""Results for scripts: one JSON value on stdout, its keys a promise."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skyhaul.report.output import Output
from skyhaul.report.stdio import say

if TYPE_CHECKING:
    from skyhaul.report.plan_view import PlanView
    from skyhaul.report.summary import RunSummary
    from skyhaul_schemas.commit import FailureRecord


class JsonOutput(Output):
    def plan(self, view: PlanView) -> None:
        _print(view.as_json())

    def run(self, summary: RunSummary) -> None:
        _print(summary.as_json())

    def failures(self, records: Sequence[FailureRecord], *, target: str) -> None:
        _print([record.model_dump(mode="json") for record in records])


def _print(value: Any) -> None:
    say(json.dumps(value, indent=2))
