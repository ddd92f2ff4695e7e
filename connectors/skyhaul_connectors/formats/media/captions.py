"""Captions of image files, from a list beside them.

JSONL or, by its suffix, CSV with names in its first line. A line's `path`, `file_name` or `file` is the
image's path below the source's root, its `caption` or `text` what is said of it (of audio `transcript` and
`transcription` go before them), so that Hugging Face's `metadata.jsonl` of an ImageFolder can be used as it
is (https://huggingface.co/docs/datasets/image_dataset). Other keys are passed over. The list's sha256 is part
of the plan's fingerprint, so that a changed list is another plan.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol, runtime_checkable

from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import brief

LINE_CAP = 1024 * 1024
"""Bytes of one line at most. Chosen, not measured."""

_PATHS = ("path", "file_name", "file")
_CAPTIONS = {"image": ("caption", "text"), "audio": ("transcript", "transcription", "text", "caption")}
"""What is captioned -> keys, of which the first that is there counts."""


@runtime_checkable
class Captioned(Protocol):
    """A decoder whose objects may have captions in a list."""

    @property
    def captions(self) -> Captions | None: ...


class Captions:
    """Captions by path, in a temporary SQLite database so that memory stays bounded. Safe among threads."""

    def __init__(self, where: str, what: str = "image") -> None:
        """Read the whole list.

        Args:
            where: Its path or URL.
            what: What its captions are of, for messages.

        Raises:
            UsageError: It cannot be read, or a line of it is wrong; the message names the line.
        """
        self.where = brief(where)
        self.what = what
        self._lock = threading.Lock()
        # Without a name, SQLite keeps the database in a file that nobody else sees and that goes with the
        # connection. It is asked by encoder threads, which the lock keeps apart.
        self._rows = sqlite3.connect("", check_same_thread=False)
        self._rows.execute(
            "CREATE TABLE captions (path TEXT PRIMARY KEY, caption TEXT, used INTEGER) WITHOUT ROWID"
        )
        digest = hashlib.sha256()
        with self._opened(where) as file:
            lines = self._lines(file, digest.update)
            for place, row in self._table(lines) if where.lower().endswith(".csv") else self._objects(lines):
                self._add(place, row)
        self.sha256 = digest.hexdigest()

    def of(self, path: str) -> str | None:
        """The caption of the image at `path`; None if the list has none."""
        with self._lock:
            row = self._rows.execute("SELECT caption FROM captions WHERE path = ?", (path,)).fetchone()
        return None if row is None else row[0]

    def names(self, path: str) -> bool:
        """Whether there is a caption for `path`, which then is no longer one of `unused`.

        For planning, which asks for each object it lists; decoding asks by `of`.
        """
        with self._lock:
            return self._rows.execute("UPDATE captions SET used = 1 WHERE path = ?", (path,)).rowcount == 1

    def unused(self) -> Iterator[str]:
        """Yield the paths that were not asked for by `names`, in their order."""
        # The lock is held until the caller is through: asking `of` or `names` on the way would wait for ever.
        with self._lock:
            rows = self._rows.execute("SELECT path FROM captions WHERE used = 0 ORDER BY path")
            yield from (path for (path,) in rows)

    @contextmanager
    def _opened(self, where: str) -> Iterator[IO[bytes]]:
        import fsspec  # every start would pay for it

        try:
            with fsspec.open(where, "rb") as file:
                yield file
        except (OSError, ImportError, ValueError) as error:
            said = getattr(error, "strerror", None) or type(error).__name__
            raise UsageError(f"captions {self.where} cannot be read: {said}") from None

    def _lines(self, file: IO[bytes], update: Callable[[bytes], None]) -> Iterator[tuple[str, str]]:
        number = 0
        while line := file.readline(LINE_CAP + 1):
            number += 1
            place = f"captions {self.where}, line {number}"
            if len(line) > LINE_CAP:
                raise UsageError(f"{place}: longer than {LINE_CAP} bytes")
            # As the bytes are, line ends and blank lines included: the digest is the file's.
            update(line)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError:
                raise UsageError(f"{place}: not UTF-8") from None
            if text:
                yield place, text

    def _objects(self, lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
        for place, text in lines:
            try:
                row = json.loads(text)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise UsageError(f"{place}: not a JSON object")
            yield place, row

    def _table(self, lines: Iterable[tuple[str, str]]) -> Iterator[tuple[str, dict[str, Any]]]:
        names: list[str] | None = None
        for place, text in lines:
            try:
                csv.field_size_limit(2**31 - 1)  # the process's, which anybody may set
                cells = next(csv.reader([text], strict=True))
            except (csv.Error, StopIteration):
                raise UsageError(f"{place}: not CSV; a record is one line here") from None
            if names is None:
                names = cells
            elif len(cells) != len(names):
                raise UsageError(f"{place}: {len(cells)} cells, the first line names {len(names)}")
            else:
                # CSV has no null: an empty cell is a key that is not there.
                yield place, {name: cell for name, cell in zip(names, cells, strict=True) if cell}

    def _add(self, place: str, row: dict[str, Any]) -> None:
        path = next((row[key] for key in _PATHS if row.get(key) is not None), None)
        if not isinstance(path, str):
            raise UsageError(f"{place}: no {', '.join(_PATHS[:-1])} or {_PATHS[-1]}")
        caption = next((row[key] for key in _CAPTIONS[self.what] if row.get(key) is not None), None)
        # As if the list did not name the image.
        if caption is None:
            return
        try:
            if not isinstance(caption, str):
                raise UsageError(f"{place}: its caption is no text")
            cursor = self._rows.execute("INSERT OR IGNORE INTO captions VALUES (?, ?, 0)", (path, caption))
        except UnicodeEncodeError:
            raise UsageError(f"{place}: a lone surrogate") from None
        if cursor.rowcount != 1:
            raise UsageError(f"{place}: {brief(path)!r} is there twice")
