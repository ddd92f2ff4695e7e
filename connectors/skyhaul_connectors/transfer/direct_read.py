"""Reads of bytes that are in no segment: fetched before anything else, past the spool, into memory."""

from __future__ import annotations

from collections.abc import Callable

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.segment import AddressMap, Segment

_FIRST = -1


class DirectRead:
    """One read under way. `done` gets the bytes, `failed` what prevented them; one of them, once."""

    def __init__(
        self,
        key: int,
        segment: Segment,
        done: Callable[[bytes], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._buffer = bytearray(segment.length)
        self._done = done
        self.failed = failed
        self.work = FetchTask(key, _FIRST, AddressMap([segment]), self._write)

    def complete(self) -> None:
        self._done(bytes(self._buffer))

    def _write(self, position: int, data: bytes | memoryview) -> None:
        self._buffer[position : position + len(data)] = data
