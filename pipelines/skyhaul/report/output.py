"""What commands print on stdout: text for people, JSON for scripts, behind one class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

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


class Output(ABC):
    """One method a command."""

    @abstractmethod
    def plan(self, view: PlanView) -> None: ...

    @abstractmethod
    def plan_update(self, update: PlanUpdate, *, target: str) -> None: ...

    @abstractmethod
    def estimate(self, outlook: Outlook, *, target: str) -> None: ...

    @abstractmethod
    def run(self, summary: RunSummary) -> None: ...

    @abstractmethod
    def status(
        self, seen: Survey, header: PlanHeader, *, dataset: str, target: str, gain: Gain | None = None
    ) -> None: ...

    @abstractmethod
    def failures(self, records: Sequence[FailureRecord], *, target: str) -> None: ...

    @abstractmethod
    def verify(self, report: VerifyReport) -> None: ...

    @abstractmethod
    def certificate(self, certificate: Certificate, *, target: str) -> None: ...

    @abstractmethod
    def mending(self, mending: Mending) -> None: ...

    @abstractmethod
    def links(self, views: Sequence[LinkView]) -> None: ...

    @abstractmethod
    def spools(self, report: SpoolReport) -> None: ...

    @abstractmethod
    def formats(self, listed: Sequence[Listed]) -> None: ...

    @abstractmethod
    def presets(self, presets: Mapping[str, LinkProfile]) -> None: ...


def output_for(*, as_json: bool) -> Output:
    if as_json:
        from skyhaul.report.json_output import JsonOutput

        return JsonOutput()
    from skyhaul.report.text_output import TextOutput

    return TextOutput()
