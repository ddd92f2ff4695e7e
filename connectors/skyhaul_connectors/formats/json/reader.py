"""Lines of JSON to rows: in columns where the screen holds, one by one elsewhere.

The choice never changes what is read (see `json_columns`), only how fast. A window that the fast reader
declines is halved down to `SMALLEST` bytes, so that a bad line costs its neighbourhood only; after a window
without any success the fast reader is left alone for `PAUSE` windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from skyhaul_connectors.formats.bytes.lines import Window
from skyhaul_connectors.formats.charsets.not_text import CR_ALONE, line_hint
from skyhaul_connectors.formats.decoder import Account
from skyhaul_connectors.formats.json.columns import JsonColumns
from skyhaul_connectors.formats.records import json_quick
from skyhaul_connectors.formats.records.fields import Drift, FieldMap, Row
from skyhaul_connectors.formats.records.json_exact import BadJson

SMALLEST = 96 * 1024
PAUSE = 16
"""Windows that are read line by line after that: what an object is like in one place may change further
on."""

_BLANK = b" \t\r"


class LineReader:
    """Reads the windows of one object, in order."""

    def __init__(self, fields: FieldMap, account: Account, max_line: int, max_depth: int) -> None:
        self._fields = fields
        self._account = account
        self._max_line = max_line
        self._max_depth = max_depth
        self._fast = JsonColumns(fields)
        self._paused = 0

    def columns(self, window: Window) -> Iterator[list[Any]]:
        """The rows of `window` as columns (arrays or lists) of body, offset and length.

        What could not be taken goes to the account."""
        if self._paused:
            self._paused -= 1
            yield from self._exactly(window)
            return
        self._look_at_first_line(window)
        taken = False
        pending = [window]
        while pending:
            part = pending.pop()
            columns = None
            if self._fast.usable:
                columns = self._fast.read(part.data, part.offset, self._max_line, self._fields_of)
            if columns is not None:
                taken = True
                yield columns
                continue
            halves = _halves(part) if self._fast.usable and len(part.data) > SMALLEST else []
            if halves:
                # A stack: the first half is on top, so that rows and rejects stay in the object's order.
                pending += reversed(halves)
            else:
                yield from self._exactly(part)
        if not taken:
            self._paused = PAUSE

    def too_long(self, length: int, head: bytes) -> str:
        """Why a line of `length` bytes that begins with `head` is rejected."""
        said = f"a line of {length} bytes, more than max_line of {self._max_line}"
        return f"{said}; {CR_ALONE}" if b"\r" in head[:-1] else said

    def _exactly(self, window: Window) -> Iterator[list[Any]]:
        columns: list[list[Any]] = [[] for _ in range(self._fields.width + 2)]
        offset = window.offset
        for line in window.data.split(b"\n"):
            length = len(line)
            for number, row in enumerate(self.rows(line, offset)):
                for column, value in zip(columns, row, strict=False):
                    column.append(value)
                # The k-th row of a melted record lies k bytes behind its start and ends where it ends
                # (`melt`).
                columns[-2].append(offset + number)
                columns[-1].append(length - number)
            offset += length + 1
            if self._account.crowded:
                yield columns
                columns = [[] for _ in columns]
        yield columns

    def rows(self, line: bytes, offset: int, *, blank: bool = True) -> list[Row]:
        """The rows of any line; none where it is blank (if it may be: `blank`) or went to the account."""
        if blank and not line.strip(_BLANK):
            return []
        if len(line) > self._max_line:
            self._account.reject(offset, len(line), self.too_long(len(line), line), line)
            return []
        try:
            record = self._record(line)
            # What the exact reader meets, the fast one learns: the next window may have it, too.
            if not self._fast.knows(record):
                self._fast.learn(record)
            return self._fields.rows(record, account=self._account)
        except BadJson as bad:
            hint = line_hint(line, offset)
            self._account.reject(offset, len(line), f"{bad} ({hint})" if hint else str(bad), line)
        except Drift as drift:
            self._account.drift(offset, len(line), str(drift), line)
        return []

    def _record(self, line: bytes) -> Mapping[str, Any]:
        record = json_quick.loads(line, self._max_depth)
        if type(record) is not dict:
            raise BadJson("not a JSON object")
        return record

    def _fields_of(self, line: bytes) -> Row:
        return self._fields.row(self._record(line))

    def _look_at_first_line(self, window: Window) -> None:
        if not self._fast.usable:
            return
        line = window.data[: window.data.find(b"\n") + 1 or len(window.data)]
        if len(line) > self._max_line:
            return
        try:
            # A line's own fate is decided later, with its window; here it only teaches its columns.
            self._fast.learn(self._record(line))
        except BadJson:
            return


def _halves(window: Window) -> list[Window]:
    """Two windows of whole lines; none where there is but one line."""
    middle = window.data.find(b"\n", len(window.data) // 2) + 1 or window.data.rfind(b"\n", 0, -1) + 1
    if not 0 < middle < len(window.data):
        return []
    return [Window(window.offset, window.data[:middle]), Window(window.offset + middle, window.data[middle:])]
