"""SIGINT, SIGTERM and SIGHUP: let go of everything, keep what has arrived, and say so by the exit code."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from skyhaul.hauling.control import HaulControl
from skyhaul_schemas.errors import Interrupted

_PATIENCE = 9.0
"""Seconds that a stop may take, until the process ends at once: what arrived is safe by then, and others
kill after ten or more (`docker stop`)."""


class Caught:
    """Which signal came, if any."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self.exit_code: int | None = None


@contextmanager
def stop_on_signals(control: HaulControl, *, guest: bool = False) -> Iterator[Caught]:
    """Within, the first SIGINT, SIGTERM or SIGHUP stops `control`.

    A second one ends the process at once, as does a stop that takes longer than 9 s. SIGHUP counts as
    SIGTERM, and stays ignored where it was (`nohup`). Outside the main thread signals stay with the caller.

    As a `guest` in somebody else's process it ends nothing: from the first signal on the caller's handlers
    are back, and get the second."""
    caught = Caught()
    last: list[threading.Timer] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        code = 128 + (signal.SIGTERM if signum == signal.SIGHUP else signum)
        if caught.exit_code is not None:
            os._exit(code)
        caught.signum, caught.exit_code = signum, code
        if guest:
            _give_back(earlier)
        else:
            timer = threading.Timer(_PATIENCE, os._exit, (code,))
            timer.daemon = True
            timer.start()
            last.append(timer)
        # The listeners take locks that the interrupted frame may hold: not here.
        reason = Interrupted(f"stopped by {signal.Signals(signum).name}; run the same command again to go on")
        reason.exit_code = code  # type: ignore[misc]  # one error's own exit code
        reason.signum = signum
        threading.Thread(target=control.stop, args=(reason,), daemon=True).start()

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    # Before the first is set: a signal may come between the two.
    earlier = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield caught
    finally:
        for timer in last:
            timer.cancel()
        _give_back(earlier)


def _give_back(earlier: Mapping[signal.Signals, Any]) -> None:
    for signum, handler in earlier.items():
        # None: a handler that was not set from Python, and that Python cannot set again.
        signal.signal(signum, signal.SIG_DFL if handler is None else handler)
