"""The header of delimited text: which of its first lines it is, and what its cells name.

With a comment mark the header may stand behind the mark (`#YY MM DD WDIR`, as NDBC has it) or below lines
that only explain (as USGS has it). Of the lines at the start that begin with the mark, and the first one that
does not, it is the one that names the most columns of those that the job wants; the latter, where it names
as many as any; and where none names any, the first.

Columns of one name are told apart (see `same_names`), unless the job takes that name or it is none: then the
header is damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice

from skyhaul_connectors.formats.bytes.lines import Rest
from skyhaul_connectors.formats.decoder import Account
from skyhaul_connectors.formats.delimited.rows import Cells, Dialect, Line, records_of
from skyhaul_connectors.formats.records.fields import parts_of
from skyhaul_connectors.formats.records.same_names import repeated, told_apart
from skyhaul_schemas.printable import brief

Lines = Iterator[Line | Rest]

_MOST_LINES = 1000
"""Lines behind a mark that are looked at after the one that names most: they are held meanwhile."""

_MOST_OF_A_HEADER = 64
"""Lines that a header behind a mark may go on in."""


@dataclass(frozen=True, slots=True)
class _Behind:
    """A line behind the mark that may be the header.

    Attributes:
        named: How many of the wanted columns it names.
        stop: Offset at which the lines after it begin.
        cells: Its cells."""

    named: int
    stop: int
    cells: Cells


@dataclass(frozen=True, slots=True)
class Header:
    """The header of one object.

    Attributes:
        names: The columns, told apart.
        units: Of the row of units, by column; empty without one.
        stop: Offset in the object at which the records begin.
        unnamed: How many cells follow in the header that name nothing."""

    names: tuple[str, ...]
    units: Mapping[str, str]
    stop: int
    unnamed: int = 0


@dataclass(frozen=True, slots=True)
class HeaderRules:
    """What the job says of the header.

    Attributes:
        dialect: How cells are told.
        columns: Their names, where the object has no header.
        skip_before: Lines before the header.
        skip_after: Lines below it, and below its units.
        units_row: Whether a row of units follows it.
        wanted: Columns that the job names.
        cap: Columns at most."""

    dialect: Dialect
    columns: tuple[str, ...]
    skip_before: int
    skip_after: int
    units_row: bool
    wanted: frozenset[str]
    cap: int


class HeaderReader:
    """Reads the header off `lines`; afterwards `lines` are those behind it."""

    def __init__(self, lines: Lines, rules: HeaderRules, account: Account) -> None:
        self.lines = lines
        self._rules = rules
        self._account = account
        # How far the header has been read. A chunk that begins later needs it to leave out what is no record.
        self._stop = 0

    def read(self) -> Header | None:
        """The header; None where there is none: an empty object, or damage, which the account is told."""
        rules = self._rules
        if not self._skip(rules.skip_before):
            return None
        names = rules.columns
        units: tuple[str, ...] = ()
        head: Cells | None = None
        if not names:
            head = self._names()
            if head is None:
                return None
            names = _stripped(head)
        if rules.units_row:
            row = self._record()
            if row is None:
                return None
            units = _stripped(row)
        if not self._skip(rules.skip_after):
            return None
        unnamed = 0
        if head is not None:
            named = len(names)
            while named and not names[named - 1]:
                named -= 1
            if named:
                unnamed, names = len(names) - named, names[:named]
            # Before names are told apart: afterwards nothing would show that one stood twice.
            problem = self._problem(names)
            if problem:
                self._account.damage(head.offset, head.length, f"header: {problem}", head.raw)
                return None
            names = tuple(told_apart(names))
        return Header(names, dict(zip(names, units, strict=False)), self._stop, unnamed)

    def _problem(self, names: tuple[str, ...]) -> str | None:
        if len(names) > self._rules.cap:
            return f"{len(names)} columns, more than max_columns of {self._rules.cap}"
        # A pointer (`/a/b`) is a field's way into column `a`, whose name must be one of a kind, too.
        taken = {parts_of(column)[0] for column in self._rules.wanted}
        for twice in repeated(names):
            if not twice or twice in taken:
                return f"column {brief(twice)!r} is there twice (name them by `columns`)"
        return None

    def _skip(self, count: int) -> bool:
        for _ in range(count):
            line = next(self.lines, None)
            if line is None:
                return False
            if isinstance(line, Rest):
                self._account.damage(line.offset, line.length, line.reason, line.raw)
                return False
            self._stop = line.offset + line.size
        return True

    def _names(self) -> Cells | None:
        """The header's cells."""
        if not self._rules.dialect.comment:
            return self._record()
        mark = self._rules.dialect.comment
        # The line at hand is to be read, mark or not, so that the dialect's own passing over is off.
        plain = replace(self._rules.dialect, comment=None)
        best: _Behind | None = None
        since: list[Line | Rest] = []  # lines after the best one
        first: Line | Rest | None = None
        while (line := next(self.lines, None)) is not None:
            if isinstance(line, Rest) or (line.text.strip() and not line.text.startswith(mark)):
                first = line
                break
            since.append(line)
            found = self._behind_mark(line) if line.text.strip() else None
            # Of two that name as many columns the first counts: a row of units below may repeat a name.
            if found is not None and (best is None or found.named > best.named):
                best, since = found, []
            if len(since) >= _MOST_LINES:
                # Nothing better is to be expected. Without any name found, what is held is forgotten instead:
                # then all these lines only explain.
                if best is not None and best.named:
                    break
                best, since = None, []
        if first is not None:
            seen = _Seen(chain((first,), self.lines), since)
            record = next(records_of(seen, plain), None)
            named = 0 if record is None or record.problem else self._named(_stripped(record))
            if best is None or (named and named >= best.named):
                self._stop = seen.stop
                return self._told(record)
        if best is None:
            return None
        # What was read after it are its units, or records.
        self.lines = chain(since, self.lines)
        self._stop = best.stop
        return best.cells

    def _behind_mark(self, line: Line) -> _Behind | None:
        """The header that a line behind the mark may be."""
        mark = self._rules.dialect.comment
        plain = replace(self._rules.dialect, comment=None)
        bare = replace(line, text=line.text.removeprefix(mark or ""))
        cells = next(records_of(iter((bare,)), plain), None)
        if cells is not None and not cells.problem:
            return _Behind(self._named(_stripped(cells)), line.offset + line.size, cells)
        if cells is None or not cells.is_rest:
            return None
        # A quoted cell may go on in the next lines; or this line is none but prose.
        more: list[Line | Rest] = []
        seen = _Seen(chain((bare,), islice(self.lines, _MOST_OF_A_HEADER)), more)
        cells = next(records_of(seen, plain), None)
        named = 0 if cells is None or cells.problem else self._named(_stripped(cells))
        # Prose may open a quote, too: only what names a wanted column is taken for a header of several lines.
        if cells is not None and named:
            return _Behind(named, seen.stop, cells)
        # Put back, since other lines than this one were taken to look for the quote's end. Its own is not: it
        # was looked at, as `bare`.
        self.lines = chain(more[1:], self.lines)
        return None

    def _named(self, names: Iterable[str]) -> int:
        return len(self._rules.wanted.intersection(names))

    def _record(self) -> Cells | None:
        """The next record, whose line may begin with the mark."""
        seen = _Seen(_without_mark(self.lines, self._rules.dialect.comment))
        record = next(records_of(seen, replace(self._rules.dialect, comment=None)), None)
        self._stop = max(self._stop, seen.stop)
        return self._told(record)

    def _told(self, record: Cells | None) -> Cells | None:
        """`record`, unless it cannot be read."""
        if record is not None and record.problem:
            self._account.damage(record.offset, record.length, f"header: {record.problem}", record.raw)
            return None
        return record


class _Seen:
    """Passes lines on, and remembers where the last one ends.

    It also keeps the lines themselves where it is given a list for them."""

    def __init__(self, lines: Lines, taken: list[Line | Rest] | None = None) -> None:
        self._lines = lines
        self._taken = taken
        self.stop = 0

    def __iter__(self) -> _Seen:
        return self

    def __next__(self) -> Line | Rest:
        line = next(self._lines)
        if self._taken is not None:
            self._taken.append(line)
        if isinstance(line, Line):
            self.stop = line.offset + line.size
        return line


def _without_mark(lines: Lines, mark: str | None) -> Lines:
    """The lines of one record, whose first one may begin with the comment mark."""
    begun = False
    for line in lines:
        if mark and not begun and isinstance(line, Line) and line.text.startswith(mark):
            line = replace(line, text=line.text[len(mark) :])
        begun = begun or (isinstance(line, Line) and bool(line.text.strip()))
        yield line


def _stripped(record: Cells) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in record.cells)
