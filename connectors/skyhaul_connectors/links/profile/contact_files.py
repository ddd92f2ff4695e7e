"""Contact plans as files, in two formats.

CSV with the columns start, end and (optional) rate: numbers are seconds since the haul's start, `10m` is
a duration since it, `2026-11-22T03:00:00Z` is absolute (RFC 3339). JSON as HDTN and ION's tools write it
(`contactPlan.json`): contacts of source, dest, startTime, endTime, rateBitsPerSec and owlt; times from
1e9 on are Unix times, others seconds since the start.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from skyhaul_connectors.links.profile.contacts import Contact, ContactTable
from skyhaul_connectors.links.profile.profile_file import read_profile_file
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import parse_duration, parse_rate

MAX_FILE_BYTES = 16 * 1024 * 1024
"""Bytes of a plan: it is read whole, and `MAX_CONTACTS` fit in with about 84 bytes each."""
MAX_CONTACTS = 200_000
"""Contacts of a plan. All are kept in memory for as long as the link is; ten passes a day fill 54 years."""
_UNIX_FROM = 1e9
"""From here on a JSON time is Unix time: it is September 2001 as such, and 31 years as a time since the
start. The format itself does not say which is meant."""


def load_contacts(spec: str) -> ContactTable:
    """Read the contacts of a file.

    Args:
        spec: A path. `contactPlan.json#10-1` takes only the contacts from node 10 to node 1.

    Raises:
        UsageError: The file cannot be read or used; names file, line (or contact) and what is allowed.
    """
    path, _, pair = spec.partition("#")
    text = _read(path)
    if path.lower().endswith(".json"):
        contacts = tuple(_from_json(path, text, pair))
    elif pair:
        raise UsageError(f"contact plan {printable(path)}: only a .json plan has nodes to choose from")
    else:
        contacts = tuple(_from_csv(path, text))
    if not contacts:
        raise UsageError(
            f"contact plan {printable(path)} holds no contact; write one line 'start,end,rate' a contact"
        )
    return ContactTable(contacts, spec)


def _read(path: str) -> str:
    try:
        # Spreadsheets save CSV with a byte order mark, which would else be part of the first cell.
        return read_profile_file("contact plan", path, MAX_FILE_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"contact plan {printable(path)} is not UTF-8 (byte {error.start})") from error


def _from_csv(path: str, text: str) -> Iterator[Contact]:
    reader = csv.reader(io.StringIO(text, newline=""))
    header_allowed = True
    count = 0
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if header_allowed and [cell.lower() for cell in cells[:2]] == ["start", "end"]:
                header_allowed = False
                continue
            # Only the first row that says anything may be a header: later on it is a mistake, and is told.
            header_allowed = False
            count += 1
            if count > MAX_CONTACTS:
                raise ValueError(f"more than {MAX_CONTACTS} contacts")
            if len(cells) not in (2, 3):
                raise ValueError(f"{len(cells)} columns; write start,end,rate")
            start, absolute = _time(cells[0])
            end, end_absolute = _time(cells[1])
            if absolute != end_absolute:
                raise ValueError("start and end must both be absolute, or both count from the start")
            rate = parse_rate(cells[2]) if len(cells) == 3 and cells[2] else None
            yield _checked(Contact(start, end, rate, None, absolute))
    except (ValueError, csv.Error) as error:
        raise UsageError(f"contact plan {printable(path)}, line {reader.line_num}: {error}") from error


def _time(cell: str) -> tuple[float, bool]:
    """(seconds, absolute) of a CSV cell. Raises ValueError."""
    # Numbers first: `fromisoformat` would take 20261122 for a date.
    try:
        seconds = float(cell)
    except ValueError:
        pass
    else:
        # float() takes `nan` too, which sorts nowhere, and `inf`, which never comes.
        if not math.isfinite(seconds):
            raise ValueError(f"{cell!r} is no time")
        return seconds, False
    try:
        moment = datetime.fromisoformat(cell)
    except ValueError:
        pass
    else:
        if "T" not in cell.upper() and " " not in cell:
            raise ValueError(f"{cell!r} is a date; add a time of day and a zone: {cell}T00:00:00Z")
        # Taken as local time it would be another moment on each worker's machine.
        if moment.tzinfo is None:
            raise ValueError(f"{cell!r} has no zone; end it with Z or an offset such as +02:00")
        return moment.timestamp(), True
    try:
        return parse_duration(cell), False
    except ValueError:
        raise ValueError(
            f"{cell!r} is no time; write seconds or 10m since the start, or 2026-11-22T03:00:00Z"
        ) from None


def _checked(contact: Contact) -> Contact:
    if not contact.end > contact.start:
        raise ValueError(f"the contact ends ({contact.end:g}) no later than it starts ({contact.start:g})")
    return contact


def _from_json(path: str, text: str, pair: str) -> Iterator[Contact]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"contact plan {printable(path)}, line {error.lineno}: {error.msg}") from error
    except RecursionError as error:  # a plan from outside: CPython's parser recurses with the nesting
        raise UsageError(f"contact plan {printable(path)} is nested too deeply") from error
    rows = document.get("contacts") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        raise UsageError(f"contact plan {printable(path)} has no list 'contacts'")
    if len(rows) > MAX_CONTACTS:
        raise UsageError(f"contact plan {printable(path)} holds more than {MAX_CONTACTS} contacts")
    # A dict keeps the order of the file, in which the message offers the pairs.
    pairs: dict[str, None] = {}
    chosen: list[Contact] = []
    for index, row in enumerate(rows):
        try:
            name, contact = _json_contact(row)
        except ValueError as error:
            raise UsageError(f"contact plan {printable(path)}, contact {index + 1}: {error}") from error
        pairs[name] = None
        if not pair or name == pair:
            chosen.append(contact)
    if pair not in pairs and pair:
        raise UsageError(
            f"contact plan {printable(path)} has no contact {printable(pair)}; it has {_some(pairs)}"
        )
    # Contacts of several hops are no windows of one link; together they would make it up far too often.
    if not pair and len(pairs) > 1:
        raise UsageError(
            f"contact plan {printable(path)} joins several nodes ({_some(pairs)}); name source and dest:"
            f" {printable(path)}#{printable(next(iter(pairs)))}"
        )
    yield from chosen


def _some(pairs: Iterable[str]) -> str:
    names = list(pairs)
    return ", ".join(map(printable, names[:8])) + (", …" if len(names) > 8 else "")


def _json_contact(row: Any) -> tuple[str, Contact]:
    if not isinstance(row, dict):
        raise ValueError("it is no object")
    start, end = (_number(row, key, required=True) for key in ("startTime", "endTime"))
    rate = _number(row, "rateBitsPerSec", required=False)
    delay = _number(row, "owlt", required=False)
    if start is None or end is None:
        raise AssertionError
    if rate is not None and rate <= 0:
        raise ValueError("rateBitsPerSec must be above 0")
    if delay is not None and delay < 0:
        raise ValueError("owlt must be 0 or more")
    name = "-".join(str(_node(row, key)) for key in ("source", "dest"))
    return name, _checked(Contact(start, end, rate, delay, start >= _UNIX_FROM))


def _number(row: dict[str, Any], key: str, *, required: bool) -> float | None:
    value = row.get(key)
    if value is None and not required:
        return None
    # `true` is an int to Python. NaN and Infinity, which Python's json takes, fail the comparison.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e15:
        raise ValueError(f"{key} must be a number, found {value!r}"[:120])
    return float(value)


def _node(row: dict[str, Any], key: str) -> int | str:
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{key} must be a node number, found {value!r}"[:120])
    return value
