"""The formats that there are, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from skyhaul.report.table import columns
from skyhaul_schemas.printable import printable

if TYPE_CHECKING:
    from skyhaul_connectors.formats.registry import Listed

_BUILT_IN = "built in"


def format_lines(listed: Sequence[Listed]) -> Iterator[str]:
    """A table, then a line for each plug-in that is refused."""
    head = ("format", "from", "schemas", "suffixes", "reads")
    found = [(entry, entry.format) for entry in listed]
    yield from columns(
        head,
        [
            (entry.name, _origin(entry), ", ".join(format.schemas), " ".join(format.suffixes), format.about)
            for entry, format in found
            if format is not None
        ],
    )
    for entry in listed:
        if entry.problem is not None:
            yield f"refused: {printable(entry.problem)}"


def formats_json(listed: Sequence[Listed]) -> list[dict[str, Any]]:
    """One object a format; `package` and `version` are null for what is built in, `problem` for what can be
    used."""
    return [
        {
            "name": entry.name,
            "package": entry.plug_in and entry.plug_in.distribution,
            "version": entry.plug_in and entry.plug_in.version,
            "schemas": list(entry.format.schemas) if entry.format else [],
            "suffixes": list(entry.format.suffixes) if entry.format else [],
            "about": entry.format.about if entry.format else None,
            "problem": entry.problem,
        }
        for entry in listed
    ]


def _origin(entry: Listed) -> str:
    return _BUILT_IN if entry.plug_in is None else entry.plug_in.package
