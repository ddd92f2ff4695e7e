"""The conductor: claims shards, keeps the link busy under the encoders' work, yields receipts.

An adapter (a lot, or a splittable DoFn) hands in `claim()`, which gives the next shard, the receipt of one
with which nothing is to be done, or None. Shards are claimed as their source's backlog runs low, so the next
shards' bytes arrive under this one's encoding; encoders are daemon threads, to whom `encode_queue` deals the
shards.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from skyhaul.dataset.commits.record_files import has_record, read_commit
from skyhaul.dataset.commits.valid_commits import is_committed
from skyhaul.dataset.commits.validation import CommitValidator
from skyhaul.hauling.chunk_access import FetchedChunk, SegmentMap
from skyhaul.hauling.direct_read import open_proved
from skyhaul.hauling.encode_queue import EncodeQueue
from skyhaul.hauling.outcomes import Outcomes, now
from skyhaul.hauling.receipts import Receipt, receipt_of
from skyhaul.hauling.worker_context import WorkerContext
from skyhaul.shards.commit_shard import CommitGuard, commit_shard
from skyhaul.shards.encode import encode_shard
from skyhaul.shards.repair import repair_shard
from skyhaul_connectors.formats.bytes.chunk_bytes import FileChunkBytes
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoder
from skyhaul_connectors.sources.protocol import LocalSource
from skyhaul_connectors.transfer.engine_thread import ShardFetch
from skyhaul_schemas import layout
from skyhaul_schemas.commit import TransferCounts
from skyhaul_schemas.errors import (
    CarriageError,
    CommitConflict,
    DecodeError,
    PlanAmended,
    RecordDamaged,
    ReplayDiffers,
    SkyhaulError,
    StorageError,
    UsageError,
)
from skyhaul_schemas.plan import Chunk, Shard
from skyhaul_schemas.storage_errors import of_environment

Claim = Callable[[], Shard | Receipt | None]

DIRECT_READ = "local"
"""The link name in the transfer counts of a source whose files are read directly."""


_ANY_BACKLOG = _MANY = 1 << 62
"""No limit: more bytes of backlog, and more shards, than there can be."""

_AHEAD = 64
"""Small shards that are claimed ahead, so that a link has enough to fetch at a time. Chosen, not
measured."""


@dataclass(slots=True)
class _Turn:
    """One claim, how many of its shards are open, and the source of the last one."""

    claim: Claim
    open: int = 0
    source: str | None = None


_ENCODER_NICENESS = 5
"""Of encoding beside a transfer: a third of the CPU of what it competes with (weight 335 against 1,024,
sched(7)). Chosen, not measured alone."""


@dataclass(slots=True)
class _Claimed:
    shard: Shard
    started: str
    local: LocalSource | None
    fetch: ShardFetch | None = None
    segments: SegmentMap | None = None
    files: dict[int, FileChunkBytes] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return self.shard.source

    @property
    def whole(self) -> bool:
        return self.fetch is None or self.fetch.whole


class ShardBug(SkyhaulError):
    """Something unforeseen while encoding a shard; names it, so that it can be looked at alone."""

    def __init__(self, shard: Shard, cause: BaseException) -> None:
        super().__init__(f"shard {shard.number} of source {shard.source}: {type(cause).__name__}: {cause}")
        self.__cause__ = cause


def _step_back() -> None:
    """Let this thread yield the CPU to the one that reads the link: encoding can wait, a link cannot."""
    # On Linux a thread has a niceness of its own (sched(7)).
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _ENCODER_NICENESS)


class Conductor:
    """Drives one process through the shards of one adapter.

    Args:
        context: The process's part in the haul.
        workers: Shards that are encoded side by side.
        on_event: Gets one line for each failure.
        every: Also once the haul is stopped shards are claimed to the end, and put off.
    """

    def __init__(
        self,
        context: WorkerContext,
        workers: int,
        on_event: Callable[[str], None] | None = None,
        *,
        every: bool = False,
    ) -> None:
        self._context = context
        self._every = every
        self._workers = workers
        self._event = on_event or (lambda message: None)
        self._todo: EncodeQueue[_Claimed] = EncodeQueue(workers)
        self._encoders: set[str] = set()
        self._done: queue.SimpleQueue[Receipt | BaseException] = queue.SimpleQueue()
        self._outcomes = Outcomes(context, self._event)
        # A shard's spool file is open as long as the shard is.
        files = context.files.shards if context.files is not None else _MANY
        self._most_open = max(1, min(4 * workers + _AHEAD, files))

    def haul(self, *claims: Claim) -> Iterator[Receipt]:
        """Claim until each of `claims` gives None or the haul is stopped (see `every`).

        Several claims are taken in turn, so that sources behind different links are hauled side by side.

        Yields:
            A receipt for each claimed shard, in the order in which they end.

        Raises:
            ShardBug, CommitConflict: They stop the run."""
        for number in range(self._workers):
            self._start_encoder(str(number))
        turns = [_Turn(claim) for claim in claims]
        taken: dict[int, _Turn] = {}
        try:
            while turns or taken:
                while turns:
                    turn = self._hungry(turns, taken)
                    if turn is None:
                        break
                    claimed = turn.claim() if self._every or not self._stopping() else None
                    if claimed is None:
                        turns.remove(turn)
                        continue
                    early = claimed if isinstance(claimed, Receipt) else self._settled(claimed)
                    if early is not None:
                        yield early
                    elif isinstance(claimed, Shard):
                        self._start_encoder(f"beside-{claimed.source}")
                        self._begin(claimed)
                        taken[claimed.number] = turn
                        turn.open += 1
                        turn.source = claimed.source
                if not taken:
                    continue
                receipt = self._next_done(wait_for_more=not turns)
                if receipt is None:
                    continue
                if isinstance(receipt, BaseException):
                    raise receipt
                taken.pop(receipt.shard).open -= 1
                yield receipt
        finally:
            self._todo.end()

    def _start_encoder(self, name: str) -> None:
        """One for each place, and one for each source, whose shard may wait for bytes beside them."""
        if name not in self._encoders:
            self._encoders.add(name)
            threading.Thread(target=self._encode_all, name=f"skyhaul-encoder-{name}", daemon=True).start()

    def _stopping(self) -> bool:
        return self._outcomes.stopped() is not None

    def _next_done(self, wait_for_more: bool) -> Receipt | BaseException | None:
        # Twenty looks a second at the backlog while there is more to claim; then only ends matter. Chosen.
        with suppress(queue.Empty):
            return self._done.get(timeout=1.0 if wait_for_more else 0.05)
        return None

    def _hungry(self, turns: list[_Turn], taken: dict[int, _Turn]) -> _Turn | None:
        """The claim from which the next shard should be taken now, if any.

        It is the first in need, by the number of its open shards. What one source has claimed and does not
        get is no reason to claim less of another."""
        if not taken or self._stopping():
            return turns[0]
        engine = self._context.engine
        if engine is None:
            return min(turns, key=_openness) if len(taken) < 2 * self._workers else None
        if len(taken) >= self._most_open:
            return None
        stats = engine.stats()
        sharing = len(turns) + len({id(turn) for turn in taken.values()} - {id(turn) for turn in turns})
        most = max(self._workers + 1, (4 * self._workers + 64) // sharing)
        for turn in sorted(turns, key=_openness):
            own = stats.sources.get(turn.source) if turn.source is not None else None
            # Its link may be idle, however much others have to fetch.
            few = sharing > 1 and turn.open <= self._workers
            low_water = _ANY_BACKLOG if few or own is None else own.low_water
            if turn.open < most and engine.wait_hungry(low_water, 0.0, None if own is None else turn.source):
                return turn
        return None

    def _settled(self, shard: Shard) -> Receipt | None:
        """A receipt without work: committed before, the haul is stopped, or its source has been given up."""
        error = self._outcomes.stopped()
        if error is None and not self._context.config.mend and self._is_committed(shard.number):
            record = read_commit(self._context.store, shard.number)
            assert record is not None
            return receipt_of(self._context.config, record)
        error = error or self._outcomes.given_up(shard.source)
        return None if error is None else self._outcomes.failed(shard, error)

    def _is_committed(self, number: int) -> bool:
        """Whether the shard is committed as it is planned now.

        Raises CommitConflict for a record that stands for nothing, which a commit would meet. One that an
        amendment has overtaken is no such record: the commit sets it aside."""
        context = self._context
        if not has_record(context.store, number):
            return False
        if is_committed(CommitValidator(context.plan), context.store, number):
            return True
        if context.plan.is_amended(number):
            with suppress(RecordDamaged):
                found = read_commit(context.store, number)
                if found is None or context.plan.outdates_commit(found):
                    return False
        raise context.store.conflict(layout.commit_file(number))

    def _begin(self, shard: Shard) -> None:
        context = self._context
        claimed = _Claimed(shard, now(), context.direct_local_read(shard.source))
        if claimed.local is None and shard.chunks:
            assert context.engine is not None
            claimed.segments = SegmentMap(shard, self._decoder_of)
            claimed.fetch = context.engine.fetch(shard.number, shard.source, claimed.segments.segments)
            claimed.fetch.while_blocked = lambda: self._todo.waiting(shard.source)
            claimed.fetch.on_whole = self._todo.look
        self._todo.put(claimed)

    def _decoder_of(self, chunk: Chunk) -> Decoder:
        return self._context.recipe.decoder(chunk.object.source, chunk.object.path)

    def _encode_all(self) -> None:
        # Where all is read in place no link waits for this thread.
        if self._context.engine is not None:
            _step_back()
        while (claimed := self._todo.take()) is not None:
            try:
                self._done.put(self._encode(claimed))
            except (CommitConflict, UsageError) as error:
                self._done.put(error)
            except BaseException as error:  # noqa: BLE001  # handed to the haul's thread, which raises it
                self._done.put(ShardBug(claimed.shard, error))
            finally:
                self._todo.done()

    def _encode(self, claimed: _Claimed) -> Receipt:
        shard, fetch = claimed.shard, claimed.fetch
        guard = self._guard(shard)
        settle = repair_shard if self._context.config.mend else commit_shard
        try:
            record = encode_shard(
                shard,
                self._context.recipe,
                lambda chunk: self._open(claimed, chunk),
                self._context.store,
                transfer=lambda: self._transfer(claimed),
                started=claimed.started,
                cancelled=self._context.control.cancelled,
                done_with=lambda chunk: self._done_with(claimed, chunk),
                before_publishing=guard.check,
                ceiling=self._context.recipe.ceilings.get(shard.source),
                transforms=self._context.recipe.transforms(shard.source),
                settle=partial(settle, guard=guard),
            )
        except (CarriageError, StorageError, DecodeError, ReplayDiffers) as error:
            return self._put_by(claimed, error)
        except Exception as error:
            # Memory, threads and open files run out anywhere.
            found = None if isinstance(error, CommitConflict) else of_environment(error)
            if found is None:
                raise
            return self._put_by(claimed, found)
        finally:
            for path, kept in guard.moved.items():
                self._event(f"{path} was left by an earlier haul and is not committed: it is kept as {kept}")
            for file in claimed.files.values():
                file.close()
        if fetch is not None:
            fetch.release(keep=False)
        return replace(self._outcomes.committed(shard, record), set_aside=tuple(guard.moved.values()))

    def _put_by(self, claimed: _Claimed, error: SkyhaulError) -> Receipt:
        """What arrived of the shard stays for the next try. Raises UsageError: no shard fares better."""
        try:
            if isinstance(error, UsageError):
                raise error
            return self._outcomes.failed(claimed.shard, error)
        finally:
            if claimed.fetch is not None:
                claimed.fetch.release(keep=True)

    def _guard(self, shard: Shard) -> CommitGuard:
        """An amendment of the plan while this haul runs must not meet the shard as it was."""
        plan = self._context.plan

        def check() -> None:
            if not plan.still_holds(shard.number):
                raise PlanAmended(f"shard {shard.number} was amended in the plan; run the same command again")

        return CommitGuard(check, plan.outdates_commit, plan.is_amended(shard.number))

    def _open(self, claimed: _Claimed, chunk: Chunk) -> ChunkBytes:
        if claimed.local is not None:
            path = claimed.local.local_path(chunk.object)
            return claimed.files.setdefault(chunk.index, open_proved(chunk, path))
        assert claimed.fetch is not None
        assert claimed.segments is not None
        return FetchedChunk(
            chunk,
            claimed.fetch,
            claimed.segments.of(chunk),
            claimed.segments.segments,
            self._context.control.cancelled,
        )

    def _done_with(self, claimed: _Claimed, chunk: Chunk) -> None:
        """The chunk is decoded.

        An object that was read in place must still be the pinned one; a fetched one may leave the spool if
        room is needed."""
        file = claimed.files.pop(chunk.index, None)
        if file is not None:
            with file:
                pass
        if claimed.fetch is not None and claimed.segments is not None:
            for index in claimed.segments.of(chunk):
                claimed.fetch.drop(index)

    def _transfer(self, claimed: _Claimed) -> dict[str, TransferCounts]:
        if claimed.fetch is not None:
            return claimed.fetch.transfer()
        return {DIRECT_READ: TransferCounts(payload_bytes=claimed.shard.needed_bytes)}


def _openness(turn: _Turn) -> int:
    return turn.open


def claims_of(shards: Iterator[Shard] | Iterator[Shard | Receipt]) -> Claim:
    """A claim over shards and receipts, in their order."""
    return lambda: next(shards, None)
