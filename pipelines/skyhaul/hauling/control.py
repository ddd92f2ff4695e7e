"""Stopping a haul: who asked for it, and why. Shared by all threads of one process."""

from __future__ import annotations

import threading
from collections.abc import Callable

from skyhaul_schemas.errors import DeferredError, Interrupted


class HaulControl:
    """Set once with a reason; later reasons are ignored, except that an interrupt outranks a budget."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: DeferredError | None = None
        self._listeners: list[Callable[[DeferredError], None]] = []

    @property
    def reason(self) -> DeferredError | None:
        return self._reason

    def stop(self, reason: DeferredError) -> None:
        with self._lock:
            if self._reason is not None and not (
                isinstance(reason, Interrupted) and not isinstance(self._reason, Interrupted)
            ):
                return
            self._reason = reason
            listeners = list(self._listeners)
        # Outside the lock: a listener may take long, and may ask or stop by itself.
        for listener in listeners:
            listener(reason)

    def on_stop(self, listener: Callable[[DeferredError], None]) -> None:
        """Call `listener` when the haul is stopped, at once if it already is."""
        with self._lock:
            self._listeners.append(listener)
            reason = self._reason
        if reason is not None:
            listener(reason)

    def stopped(self) -> bool:
        """True once no further shard may be claimed."""
        return self._reason is not None

    def cancelled(self) -> bool:
        """True once even shards whose bytes are all here must let go (an interrupt)."""
        return isinstance(self._reason, Interrupted)
