"""`skyhaul formats`: the formats that there are, and whence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from skyhaul.report.table import columns
from skyhaul_connectors.formats.registry import Listed

_BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class FormatsReport:
    """All formats, those of plug-ins and of refused plug-ins among them."""

    listed: Sequence[Listed]

    def lines(self) -> Iterator[str]:
        head = ("format", "from", "schemas", "suffixes", "reads")
        found = [(entry, entry.format) for entry in self.listed]
        yield from columns(
            head,
            [
                (
                    entry.name,
                    _origin(entry),
                    ", ".join(format.schemas),
                    " ".join(format.suffixes),
                    format.about,
                )
                for entry, format in found
                if format is not None
            ],
        )
        for entry in self.listed:
            if entry.problem is not None:
                yield f"refused: {entry.problem}"

    def to_json(self) -> list[dict[str, Any]]:
        """One object a format.

        `package` and `version` are null for what is built in, `problem` for what can be used.
        """
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
            for entry in self.listed
        ]


def _origin(entry: Listed) -> str:
    return _BUILT_IN if entry.plug_in is None else entry.plug_in.package
