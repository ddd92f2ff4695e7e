"""SIGINT and SIGTERM: let go of everything, keep what has arrived, and say so by the exit code."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from skyhaul.haul.control import HaulControl
from skyhaul_schemas.errors import Interrupted


class Caught:
    """Which signal came, if any."""

    def __init__(self) -> None:
        self.signum: int | None = None

    @property
    def exit_code(self) -> int | None:
        return None if self.signum is None else 128 + self.signum


@contextmanager
def stop_on_signals(control: HaulControl) -> Iterator[Caught]:
    """Within, the first SIGINT or SIGTERM stops `control`; a second one ends the process at once, as
    does a stop that takes longer than 9 s. Outside the main thread signals stay with the caller."""
    caught = Caught()
    last: list[threading.Timer] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        if caught.signum is not None:
            os._exit(128 + signum)
        caught.signum = signum
        timer = threading.Timer(9.0, os._exit, (128 + signum,))
        timer.daemon = True
        timer.start()
        last.append(timer)
        # The listeners take locks that the interrupted frame may hold: not here.
        reason = Interrupted(f"stopped by {signal.Signals(signum).name}; run the same command again to go on")
        reason.exit_code = 128 + signum  # type: ignore[misc]  # one error's own exit code
        threading.Thread(target=control.stop, args=(reason,), daemon=True).start()

    earlier = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for timer in last:
            timer.cancel()
        for signum, handler in earlier.items():
            signal.signal(signum, handler)
