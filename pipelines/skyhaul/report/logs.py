"""Log lines on stderr: one event a line, as text or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from skyhaul.report.scrub import scrubbed
from skyhaul_schemas.printable import printable
from skyhaul_schemas.storage_errors import of_environment

OUR_LOGGERS = ("skyhaul", "skyhaul_connectors", "skyhaul_schemas")
"""The roots of our packages: a level that is set on them holds for all loggers below."""


class TextFormatter(logging.Formatter):
    """`12:30:01 warning: message`; an exception adds its class and message to the line."""

    def format(self, record: logging.LogRecord) -> str:
        # The local clock, for a person beside it; JSON has UTC, for machines elsewhere.
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"{clock} {level}{_message(record)}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, message, and the event's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        line.update(getattr(record, "fields", {}))
        return json.dumps(line)


class _StderrNow(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at that moment.

    Live bars put themselves in its place, so that log lines scroll above them.
    """

    def __init__(self) -> None:
        # Past StreamHandler's own, which would keep the stream of now.
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        raise AttributeError("the stream is always sys.stderr")


def start_logging(*, log_format: str, quiet: bool, verbose: bool) -> None:
    """Send all logging to stderr: our info and others' errors.

    Called before Beam is imported, and with `force`, because Beam configures the root logger too.

    Args:
        log_format: `text` or `json`.
        quiet: Our warnings, and others' errors.
        verbose: Our debug, and others' info; outranks `quiet`.
    """
    logging.raiseExceptions = False  # a stderr that is full or gone must not fill up with tracebacks
    handler = _StderrNow()
    # On the handler: a logger's own filter is not asked for records of the loggers below it.
    handler.addFilter(_told_elsewhere)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    # Others' warnings are for us, not for users: Beam warns of cloud clients that a haul does not need.
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, handlers=[handler], force=True)
    ours = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    for name in OUR_LOGGERS:
        logging.getLogger(name).setLevel(ours)


def _told_elsewhere(record: logging.LogRecord) -> bool:
    """False for Beam's words about an error of ours, which ends the command and is told there, once."""
    error = record.exc_info[1] if record.exc_info else None
    beams = record.name.partition(".")[0] == "apache_beam"
    return not (beams and isinstance(error, Exception) and of_environment(error) is not None)


def _message(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    text = record.getMessage() + ("" if error is None else f" ({type(error).__name__}: {error})")
    # Scrubbed first: an escape in the midst of a URL would hide it from the patterns.
    return printable(scrubbed(text))
