"""A `checksums:` file in the format of sha256sum: `<64 hex digits>  <path>`, one object a line.

`*` before the path (binary mode) and a leading `./` are taken as sha256sum writes them; its escaped names
(a line that starts with a backslash) are read too, and so are lines as BSD and `sha256sum --tag` write them:
`SHA256 (<path>) = <digits>`. Source: GNU coreutils manual, "md5sum invocation".
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable

LINE_CAP = 16 * 1024
"""Bytes of one line: a path has 4,096 at most (`object_names.PATH_CAP`), twice that when escaped."""

UNNAMED = "an object that no line of the checksums list names"
NO_OBJECT = "a line of the checksums list that names no object"

_LINE = re.compile(r"(\\?)([0-9a-fA-F]{64}) [ *](.+)")
_TAGGED = re.compile(r"(\\?)SHA256 \((.+)\) = ([0-9a-fA-F]{64})")
_SHOWN = 200
"""Characters of a path in a message."""


class Checksums:
    """Digests by path, held in a temporary SQLite database so that memory stays bounded.

    Args:
        where: Names the file in messages.
        lines: With their ends; read at once.

    Raises:
        UsageError: A line cannot be meant, or a path is there twice; names the line."""

    def __init__(self, where: str, lines: Iterable[bytes]) -> None:
        self._where = printable(where)
        self._used = False
        self._stranger: str | None = None
        # The empty name is a temporary file of SQLite's own, which it deletes; a listing may go on in another
        # thread than the one that began it.
        self._rows = sqlite3.connect("", check_same_thread=False)
        self._rows.execute(
            "CREATE TABLE sums (path TEXT PRIMARY KEY, sha256 TEXT, line INTEGER, used INTEGER) WITHOUT ROWID"
        )
        for number, line in enumerate(lines, 1):
            self._add(number, line)

    def _add(self, number: int, raw: bytes) -> None:
        place = f"{self._where}, line {number}"
        if len(raw) > LINE_CAP:
            raise UsageError(f"{place}: longer than {LINE_CAP} bytes")
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise UsageError(f"{place}: not UTF-8") from None
        if not line.strip() or line.startswith("#"):
            return
        match, tagged = _LINE.fullmatch(line), _TAGGED.fullmatch(line)
        if match is not None:
            escaped, digits, path = match.groups()
        elif tagged is not None:
            escaped, path, digits = tagged.groups()
        else:
            raise UsageError(f"{place}: not '<sha256 in hex>  <path>'")
        # One pass: in two, the `\\n` that stands for a backslash and an n would become a line feed.
        if escaped:
            path = re.sub(r"\\([\\nr])", lambda m: {"\\": "\\", "n": "\n", "r": "\r"}[m[1]], path)
        path = path.removeprefix("./")
        cursor = self._rows.execute(
            "INSERT OR IGNORE INTO sums VALUES (?, ?, ?, 0)", (path, digits.lower(), number)
        )
        if cursor.rowcount != 1:
            raise UsageError(f"{place}: {printable(path)!r} is there twice")

    def attached(self, obj: PinnedObject, told: LeftOut) -> PinnedObject:
        """`obj` with its checksum, where the file has one; else it is counted, unless its list has one.

        Raises:
            UsageError: The list of objects says another one. Neither is taken for the better."""
        row = self._rows.execute("SELECT sha256, line FROM sums WHERE path = ?", (obj.path,)).fetchone()
        if row is None:
            self._stranger = self._stranger or obj.path
            if obj.checksum is None:
                told.unchecked.add(obj.path, UNNAMED)
            return obj
        self._used = True
        self._rows.execute("UPDATE sums SET used = 1 WHERE path = ?", (obj.path,))
        checksum = f"sha256:{row[0]}"
        if obj.checksum is not None and obj.checksum.startswith("sha256:") and obj.checksum != checksum:
            raise UsageError(
                f"{self._where}, line {row[1]}: {printable(obj.path)!r} has another sha256 in the list"
            )
        return replace(obj, checksum=checksum)

    def close(self) -> None:
        self._rows.close()

    def finish(self, selected: Callable[[str], bool], told: LeftOut) -> None:
        """Look at what was not used, after the listing. Entries outside the selection are counted.

        Args:
            selected: Whether the source is to have a path.
            told: Where they are counted.

        Raises:
            UsageError: The file names none of the objects, or an entry that the source's globs select is no
                object: it was there when the file was written."""
        if self._stranger is not None and not self._used:
            raise UsageError(self._names_none(self._stranger))
        unused = self._rows.execute("SELECT path, line FROM sums WHERE used = 0 ORDER BY line")
        for path, line in unused:
            if selected(path):
                raise UsageError(f"{self._where}, line {line}: the source has no object {printable(path)!r}")
            told.unchecked.add(path, NO_OBJECT)

    def _names_none(self, stranger: str) -> str:
        """Why nothing would be checked. stranger: the path of an object."""
        said = f"{self._where}: names none of the source's objects, so that nothing would be checked"
        first = self._rows.execute("SELECT path FROM sums ORDER BY line LIMIT 1").fetchone()
        if first is None:
            return f"{said}: it is empty; write it anew, or take `checksums` out"
        longer = "SELECT path FROM sums WHERE substr(path, -length(?1) - 1) = '/' || ?1 ORDER BY line LIMIT 1"
        twin = self._rows.execute(longer, (stranger,)).fetchone() or self._shorter(stranger) or first
        shown = f"it has {_shown(twin[0])}, the source has {_shown(stranger)}"
        return (
            f"{said}: {shown}; paths in it are relative to the source's root, as in `cd ROOT && sha256sum …`"
        )

    def _shorter(self, stranger: str) -> tuple[str] | None:
        """The path of an entry that is the end of an object's."""
        parts = stranger.split("/")
        for i in range(1, len(parts)):
            end = "/".join(parts[i:])
            if self._rows.execute("SELECT 1 FROM sums WHERE path = ?", (end,)).fetchone():
                return (end,)
        return None


def _shown(path: str) -> str:
    return repr(printable(path[:_SHOWN]) + "…" * (len(path) > _SHOWN))


LoadChecksums = Callable[[], Checksums]
"""Reads the file, or fetches it, when a listing begins."""


def with_checksums(
    objects: Iterator[PinnedObject],
    load: LoadChecksums | None,
    selected: Callable[[str], bool],
    left_out: LeftOut | None = None,
) -> Iterator[PinnedObject]:
    """`objects` with their checksums.

    Args:
        objects: A listing's.
        load: Loads the checksums file; None: the objects go through as they are.
        selected: Which paths the source is to have.
        left_out: Where is counted what is not checked."""
    if load is None:
        yield from objects
        return
    told = left_out if left_out is not None else LeftOut()
    checksums = load()
    try:
        for obj in objects:
            yield checksums.attached(obj, told)
        checksums.finish(selected, told)
    finally:
        checksums.close()
