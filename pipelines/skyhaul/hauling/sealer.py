"""Seals groups as they become full, beside the haul."""

from __future__ import annotations

import logging
import queue
import threading
from types import TracebackType

from skyhaul.dataset.commits.record_files import recorded_in
from skyhaul.dataset.commits.sealing import seal_group
from skyhaul.dataset.commits.validation import CommitValidator, Planned
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul_schemas import layout
from skyhaul_schemas.errors import SkyhaulError

_LOG = logging.getLogger("skyhaul.haul")

PATIENCE = 5.0
"""Seconds that the end of a lot waits for a sealing under way; the driver seals what is left. Chosen, not
measured."""


class Sealer:
    """A context that is told of each commit, and seals groups on a thread of its own.

    It looks at a group when it is told of its first commit, counts those that follow, and seals the group
    when it should be full. Where other workers have a part in the group it may never seem so: the driver
    seals it in the end. Sealing is no condition of anything, so a store that fails only ends it."""

    def __init__(self, plan: Planned, store: DatasetStore) -> None:
        self._validator = CommitValidator(plan)
        self._store = store
        self._commits: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if self._validator.shards >= len(layout.shards_of(0)):
            self._thread = threading.Thread(target=self._seal, name="skyhaul-sealer", daemon=True)

    def __enter__(self) -> Sealer:
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._commits.put(None)
            self._thread.join(PATIENCE)

    def committed(self, shard: int) -> None:
        if self._thread is not None:
            self._commits.put(shard)

    def _seal(self) -> None:
        missing: dict[int, int] = {}
        try:
            while (shard := self._commits.get()) is not None:
                group = layout.group_of(shard)
                missing[group] = missing[group] - 1 if group in missing else self._missing(group)
                if missing[group] <= 0 and not seal_group(self._validator, self._store, group):
                    missing[group] = self._missing(group)
        except SkyhaulError as error:
            _LOG.warning("full groups of commit records are not sealed: %s", error)

    def _missing(self, group: int) -> int:
        return len(layout.shards_of(group)) - len(recorded_in(self._store, group))
