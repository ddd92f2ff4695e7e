"""How a session wants to see progress: bars, a line now and then, or nothing."""

from __future__ import annotations

import os
import sys

from skyhaul.cli.session import Session
from skyhaul.report.progress import PlainProgress, ProgressReport


def progress_of(session: Session) -> ProgressReport:
    return progress_for(quiet=session.quiet, log_format=session.log_format)


def progress_for(*, quiet: bool, log_format: str) -> ProgressReport:
    """Bars only for a person: on a terminal that can draw, in text, and not when quiet."""
    if quiet:
        return ProgressReport()
    # `bars` is imported here alone: rich would cost every other start its time. NO_COLOR is rich's matter.
    if log_format == "text" and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb"):
        from skyhaul.report.bars import BarProgress

        return BarProgress()
    return PlainProgress()
