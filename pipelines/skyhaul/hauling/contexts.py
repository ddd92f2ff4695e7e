"""The live worker contexts of this process: opened at the first use, closed with the last.

Who conducts lots takes a lease, and a context lives as long as any lease has it. A driver in this process
announces its haul before, so that it can watch and stop the workers here, and closes what they opened.
"""

from __future__ import annotations

import threading
from types import TracebackType

from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.control import HaulControl
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul_schemas.errors import UsageError

_Key = tuple[str, str]
"""A haul's id, and the digest of the plan that its lots were dealt from: it may grow between two pipelines
that go by one id."""


class Lease:
    """What one holder uses of the contexts of its process."""

    def __init__(self, contexts: WorkerContexts) -> None:
        self._contexts = contexts
        self._held: dict[_Key, WorkerContext] = {}

    def context(self, config: HaulConfig, plan: str) -> WorkerContext:
        """The one context of this process for the haul, built where there is none.

        Raises:
            UsageError: The dataset's plan is another one than `plan`.
            SkyhaulError: What `WorkerContext` raises."""
        key = (config.run, plan)
        context = self._held[key] = self._contexts.use(key, config, self._held.get(key))
        return context

    def close(self) -> None:
        """Let go of all of them."""
        held, self._held = self._held, {}
        for key, context in held.items():
            self._contexts.let_go(key, context)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WorkerContexts:
    """Of one process, by haul."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._controls: dict[str, HaulControl] = {}
        self._contexts: dict[_Key, WorkerContext] = {}
        self._users: dict[_Key, int] = {}

    def lease(self) -> Lease:
        return Lease(self)

    def announce(self, run: str, control: HaulControl) -> None:
        """The driver's control of haul `run`.

        A context opened here later obeys it, and stays open until `close`."""
        with self._lock:
            self._controls[run] = control

    def find(self, run: str) -> WorkerContext | None:
        """A context of the haul, if one is open."""
        # Without the lock, which is held while one opens: a driver looks a few times a second.
        return next((context for key, context in list(self._contexts.items()) if key[0] == run), None)

    def close(self, run: str) -> None:
        """The driver is done with the haul."""
        with self._lock:
            self._controls.pop(run, None)
            keys = [key for key in self._contexts if key[0] == run]
            closing = [self._contexts.pop(key) for key in keys]
            for key in keys:
                del self._users[key]
            for context in closing:
                context.close()

    def use(self, key: _Key, config: HaulConfig, held: WorkerContext | None) -> WorkerContext:
        """For leases. held: the one that the lease has."""
        with self._lock:
            context = self._contexts.get(key)
            if context is None:
                context = _open(config, key[1], self._controls.get(config.run))
                self._contexts[key] = context
                self._users[key] = 0
            self._users[key] += context is not held
            return context

    def let_go(self, key: _Key, context: WorkerContext) -> None:
        """For leases."""
        with self._lock:
            if self._contexts.get(key) is not context:
                return
            self._users[key] -= 1
            if self._users[key] or key[0] in self._controls:
                return
            del self._users[key], self._contexts[key]
            # Under the lock: whoever opens the haul anew finds its spool free.
            context.close()


def _open(config: HaulConfig, plan: str, control: HaulControl | None) -> WorkerContext:
    context = WorkerContext(config, control)
    if plan in (generation.header.digest for generation in context.plan.generations):
        return context
    context.close()
    raise UsageError(
        f"the plan of dataset {context.store.place} is not the one that this haul was dealt from"
        f" ({plan[:16]}); start the pipeline again"
    )


CONTEXTS = WorkerContexts()
