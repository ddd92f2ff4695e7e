"""How a session wants to see progress."""

from __future__ import annotations

from skyhaul.cli.session import Session
from skyhaul.report.progress import ProgressReport, progress_for


def progress_of(session: Session) -> ProgressReport:
    return progress_for(quiet=session.quiet, log_format=session.log_format)
