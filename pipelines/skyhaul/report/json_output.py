"""Results for scripts: one JSON value on stdout, its keys a promise."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyhaul.report.formats import formats_json
from skyhaul.report.left_out import left_out_json, unchecked_json
from skyhaul.report.output import Output
from skyhaul.report.stdio import say

if TYPE_CHECKING:
    from skyhaul.certify.certificate import Certificate
    from skyhaul.dataset.survey import Survey
    from skyhaul.forecast.outlook import Outlook
    from skyhaul.hauling.links.view import LinkView
    from skyhaul.planning.build.difference import PlanUpdate
    from skyhaul.report.gain import Gain
    from skyhaul.report.mending import Mending
    from skyhaul.report.plan_view import PlanView
    from skyhaul.report.spools import SpoolReport
    from skyhaul.report.summary import RunSummary
    from skyhaul.verification.report import VerifyReport
    from skyhaul_connectors.formats.registry import Listed
    from skyhaul_connectors.links.profile.profile import LinkProfile
    from skyhaul_schemas.commit import FailureRecord
    from skyhaul_schemas.plan import PlanHeader


class JsonOutput(Output):
    def plan(self, view: PlanView) -> None:
        _print(view.as_json())

    def plan_update(self, update: PlanUpdate, *, target: str) -> None:
        told = {**update.to_json(), **left_out_json(update.left_out, update.left_out_names)}
        _print(told | unchecked_json(update.unchecked, update.unchecked_names))

    def estimate(self, outlook: Outlook, *, target: str) -> None:
        _print(outlook.to_json())

    def run(self, summary: RunSummary) -> None:
        _print(summary.as_json())

    def status(
        self, seen: Survey, header: PlanHeader, *, dataset: str, target: str, gain: Gain | None = None
    ) -> None:
        told = {"dataset": dataset, "name": header.name, "plan": header.digest, **seen.to_json()}
        told |= left_out_json(header.left_out, header.left_out_names)
        told |= unchecked_json(header.unchecked, header.unchecked_names)
        _print(told if gain is None else {**told, "gain": gain.to_json()})

    def failures(self, records: Sequence[FailureRecord], *, target: str) -> None:
        _print([record.model_dump(mode="json") for record in records])

    def verify(self, report: VerifyReport) -> None:
        _print(report.to_json())

    def certificate(self, certificate: Certificate, *, target: str) -> None:
        _print(certificate.to_json())

    def mending(self, mending: Mending) -> None:
        _print(mending.as_json())

    def links(self, views: Sequence[LinkView]) -> None:
        _print([view.as_json() for view in views])

    def spools(self, report: SpoolReport) -> None:
        _print(report.as_json())

    def formats(self, listed: Sequence[Listed]) -> None:
        _print(formats_json(listed))

    def presets(self, presets: Mapping[str, LinkProfile]) -> None:
        _print({name: _finite(dataclasses.asdict(profile)) for name, profile in presets.items()})


def _finite(value: Any) -> Any:
    """JSON has no infinity: a rate that is not limited is null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _print(value: Any) -> None:
    say(json.dumps(value, indent=2))
