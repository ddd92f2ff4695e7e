"""A list of objects by URL, in JSONL or CSV.

JSONL has `{"url": ..., "path": ..., "size": ..., "sha256": ..., "crc32c": ...}` a line, CSV these names in
its first line. Only `url` must be there, or `path` where the job gives a root that paths are below; other
keys are passed over (`list_columns` says which are refused or told). A line of JSON may also have
`block_size` and `blocks`, as `skyhaul index` writes them.

A list comes from outside. Lines and the file are size-capped, only http and https URLs are taken, and
paths that leave the root, hold control characters, or are there twice are refused.
Every refusal names the line and repeats no URL.
"""

from __future__ import annotations

import base64
import csv
import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from skyhaul_connectors.sources.catalogue.list_columns import CELLS, KEYS, OtherColumns
from skyhaul_connectors.sources.catalogue.object_names import NameGuard, fault_in_path
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.url import HttpUrl, parse_url
from skyhaul_schemas.block_digests import DIGEST, BlockDigests
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

LINE_CAP = 16 * 1024 * 1024
"""Bytes of one line: it may hold the digests of a large object's blocks."""
FILE_CAP = 8 * 1024**3
"""Bytes of a list: about 40 million lines of 200 bytes. A list that is fetched lies on disk, in a temporary
file."""

_DIGESTS = {"crc32c": 8, "sha256": 64}
"""Hex digits; the last one that a line states counts."""
# A size of 0 with another digest than that of no bytes: one of the two is wrong, and nothing would be hauled
# to tell.
_EMPTY = {"crc32c": "crc32c:00000000", "sha256": f"sha256:{hashlib.sha256().hexdigest()}"}
_HEX = frozenset("0123456789abcdefABCDEF")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ListedUrl:
    """One entry of a list.

    Attributes:
        path: The object's.
        url: None where paths below a root count.
        size: Bytes; None: not stated.
        checksum: `sha256:...` or `crc32c:...`; None: not stated.
        at: Byte offset of the line, by which a plan finds the entry again without storing a URL's secrets.
        blocks: Digests of the object's blocks; None: not stated."""

    path: str
    url: HttpUrl | None
    size: int | None
    checksum: str | None
    at: int
    blocks: BlockDigests | None = None


def read_list(
    where: str,
    lines: Iterable[bytes],
    *,
    rooted: bool = False,
    fault: Callable[[str], str | None] = fault_in_path,
    told: LeftOut | None = None,
) -> Iterator[ListedUrl]:
    """The entries of a list, as they are read.

    Args:
        where: Names the list in messages; its suffix says the format.
        lines: With their ends.
        rooted: Each line's `path` is what counts.
        fault: Why a path cannot be taken.
        told: Where columns are counted that were to be checked and are not.

    Raises:
        UsageError: A line cannot be taken; names the line, and repeats no URL."""
    shown = printable(where)
    guard = NameGuard()
    rows = _row_reader(where, rooted, OtherColumns(told))
    at = 0
    try:
        for number, line in enumerate(lines, 1):
            place = f"{shown}, line {number}"
            text = _text_of(line, place, at)
            row = rows(text, place) if text.strip() else None
            if row is not None:
                listed = _checked(row, place, at, rooted, fault)
                if not guard.is_new(listed.path):
                    raise UsageError(
                        f"{place}: the path {printable(listed.path)!r} is there twice; give each object a"
                        " path of its own"
                    )
                yield listed
            at += len(line)
    finally:
        guard.close()


def entry_at(where: str, first: bytes, line: bytes, at: int) -> ListedUrl | None:
    """The entry of the line at byte `at` alone, of a list that was read before.

    Args:
        where: As for `read_list`.
        first: The list's first line, which names the columns of a CSV.
        line: The line at `at`.
        at: Byte offset of the line."""
    rows = _row_reader(where, False, OtherColumns())
    row = rows(_text_of(first, where, 0), where) if at == 0 or _is_csv(where) else None
    if at > 0:
        row = rows(_text_of(line, where, at), where)
    return None if row is None else _checked(row, where, at, False, fault_in_path)


def _is_csv(where: str) -> bool:
    return where.partition("?")[0].lower().endswith(".csv")


def _row_reader(where: str, rooted: bool, others: OtherColumns) -> Callable[[str, str], Row | None]:
    if _is_csv(where):
        return _CsvRows("path" if rooted else "url", others).row
    if where.partition("?")[0].lower().endswith((".jsonl", ".ndjson", ".json")):
        return functools.partial(_json_row, others)
    raise UsageError(f"{printable(where)}: a list is a .jsonl or a .csv file")


def _text_of(line: bytes, place: str, at: int) -> str:
    if len(line) > LINE_CAP:
        raise UsageError(f"{place}: longer than {LINE_CAP} bytes")
    if at + len(line) > FILE_CAP:
        raise UsageError(f"{place}: the list is longer than {FILE_CAP} bytes")
    # A byte order mark is a mark in the first line alone; further on it would be part of a name.
    try:
        return line.decode("utf-8-sig" if at == 0 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise UsageError(f"{place}: not UTF-8") from None


def _json_row(others: OtherColumns, text: str, place: str) -> Row:
    # JSON leaves open which of two equal keys counts (RFC 8259, section 4): another reader may check the
    # other.
    def once(pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            for key in KEYS:
                if sum(key == name for name, _ in pairs) > 1:
                    raise UsageError(f"{place}: {key} is there twice")
        return row

    try:
        row = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError):
        raise UsageError(f"{place}: not JSON") from None
    if not isinstance(row, dict):
        raise UsageError(f"{place}: not a JSON object")
    others.note(row, place)
    return {key: row[key] for key in KEYS if row.get(key) is not None}


class _CsvRows:
    """Rows of a CSV, a line each. The first line names the columns.

    Args:
        named: The column by which objects are found.
        others: Looks at the columns that are not read."""

    def __init__(self, named: str, others: OtherColumns) -> None:
        self._columns: list[str] | None = None
        self._named = named
        self._others = others

    def row(self, text: str, place: str) -> Row | None:
        try:
            csv.field_size_limit(2**31 - 1)  # the process's, which anybody may set
            cells = next(csv.reader([text], strict=True))
        except (csv.Error, StopIteration):
            raise UsageError(f"{place}: not CSV; a record is one line here") from None
        if self._columns is None:
            self._columns = [cell.strip() for cell in cells]
            if self._columns.count(self._named) != 1:
                raise UsageError(f"{place}: the first line must name the columns, {self._named} among them")
            self._others.note(self._columns, place)
            return None
        if len(cells) != len(self._columns):
            raise UsageError(f"{place}: {len(cells)} cells, the first line names {len(self._columns)}")
        row: Row = {
            k: c if k == "path" else c.strip()
            for k, c in zip(self._columns, cells, strict=True)
            if k in CELLS and c.strip()
        }
        if "size" in row:
            if not (row["size"].isascii() and row["size"].isdigit()) or len(row["size"]) > 18:
                raise UsageError(f"{place}: size {printable(row['size'])[:40]!r} is no number of bytes")
            row["size"] = int(row["size"])
        return row


def _checked(row: Row, place: str, at: int, rooted: bool, fault_in: Callable[[str], str | None]) -> ListedUrl:
    url = None if rooted else _checked_url(row.get("url"), place)
    path = row.get("path")
    if path is None and url is None:
        raise UsageError(f"{place}: no path; with a root each line needs one")
    if path is None and url is not None:
        try:
            path = unquote(url.path, errors="strict").lstrip("/")
        except UnicodeDecodeError:
            raise UsageError(f"{place}: the URL's path is not UTF-8; give it a path") from None
    if not isinstance(path, str):
        raise UsageError(f"{place}: path is no text")
    fault = fault_in(path)
    if fault:
        raise UsageError(
            f"{place}: the path {printable(path)[:200]!r} {fault}; give it a path that can be used"
        )
    size = row.get("size")
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 62):
        raise UsageError(f"{place}: size is no number of bytes")
    checksum = None
    for kind, digits in _DIGESTS.items():
        value = row.get(kind)
        if value is not None:
            if not isinstance(value, str) or len(value) != digits or not _HEX.issuperset(value):
                raise UsageError(f"{place}: {kind} is not {digits} hex digits")
            checksum = f"{kind}:{value.lower()}"
            if size == 0 and checksum != _EMPTY[kind]:
                raise UsageError(f"{place}: size is 0, and {kind} is not that of no bytes")
    return ListedUrl(path, url, size, checksum, at, _checked_blocks(row, size, place))


def _checked_blocks(row: Row, size: int | None, place: str) -> BlockDigests | None:
    if "blocks" not in row and "block_size" not in row:
        return None
    step, text = row.get("block_size"), row.get("blocks")
    if step is None or text is None or size is None:
        raise UsageError(f"{place}: blocks, block_size and size belong together, and one is missing")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 < step < 1 << 62:
        raise UsageError(f"{place}: block_size is no positive number of bytes")
    try:
        digests = base64.b64decode(text, validate=True) if isinstance(text, str) else b"?"
    except ValueError:
        digests = b"?"
    if len(digests) % DIGEST:
        raise UsageError(f"{place}: blocks is not base64 of SHA-256 digests, {DIGEST} bytes each")
    due = -(-size // step)
    if len(digests) != due * DIGEST:
        raise UsageError(
            f"{place}: blocks has {len(digests) // DIGEST} digests, and {size} bytes have {due} blocks of"
            f" {step} bytes"
        )
    return BlockDigests(step, ((0, digests),)) if digests else None


def path_of(url: HttpUrl, path: str | None = None) -> str:
    """The object's path: the one that is stated, else the URL's. Raises ValueError."""
    if path is None:
        try:
            path = unquote(url.path, errors="strict").lstrip("/")
        except UnicodeDecodeError:
            raise ValueError("the URL's path is not UTF-8") from None
    fault = fault_in_path(path)
    if fault:
        raise ValueError(f"the path {printable(path)[:200]!r} {fault}")
    return path


def _checked_url(value: Any, place: str) -> HttpUrl:
    if not isinstance(value, str) or not value:
        raise UsageError(f"{place}: no url; where paths are below one root, say so: {{list: …, root: URL}}")
    if "::" in value.partition("?")[0].partition("/")[0]:
        raise UsageError(f"{place}: a chained URL; a list may hold http and https URLs only")
    if "#" in value:
        raise UsageError(f"{place}: what follows a '#' in a url is never asked for; write %23 for it")
    try:
        return parse_url(value.strip())
    except ValueError as error:
        raise UsageError(f"{place}: {error}; a list may hold http and https URLs only") from None
