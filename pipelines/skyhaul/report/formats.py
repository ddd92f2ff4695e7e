"""`skyhaul formats`: the formats, transforms and sources that there are, and whence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from skyhaul.report.table import columns
from skyhaul.transforms.declaration import AnyTransform
from skyhaul_connectors.formats.declaration import Format
from skyhaul_connectors.sources.declaration import SourceKind
from skyhaul_schemas.plugins import Listed

_BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class FormatsReport:
    """All that a job can name, those of plug-ins and of refused plug-ins among them.

    Attributes:
        formats: By name.
        transforms: By name.
        sources: By scheme.
    """

    formats: Sequence[Listed[Format]]
    transforms: Sequence[Listed[AnyTransform]]
    sources: Sequence[Listed[SourceKind]]

    def lines(self) -> Iterator[str]:
        yield from columns(
            ("format", "from", "schemas", "suffixes", "reads"),
            [
                (entry.name, _origin(entry), ", ".join(said.schemas), " ".join(said.suffixes), said.about)
                for entry in self.formats
                if (said := entry.declaration) is not None
            ],
        )
        yield ""
        yield from columns(
            ("transform", "from", "does"),
            [
                (entry.name, _origin(entry), entry.declaration.about)
                for entry in self.transforms
                if entry.declaration is not None
            ],
        )
        yield ""
        # Schemes of one kind say the same of themselves.
        usable = [entry for entry in self.sources if entry.declaration is not None]
        yield from columns(
            ("source", "from", "reads"),
            [
                (" ".join(entry.name for entry in same), origin, said.about if said else "")
                for (said, origin), group in groupby(
                    usable, lambda entry: (entry.declaration, _origin(entry))
                )
                for same in (list(group),)
            ],
        )
        everything: list[Listed[Any]] = [*self.formats, *self.transforms, *self.sources]
        yield from (f"refused: {entry.problem}" for entry in everything if entry.problem is not None)

    def to_json(self) -> list[dict[str, Any]]:
        """One object a format, transform or scheme of sources, which `kind` says.

        `package` and `version` are null for what is built in, `problem` for what can be used. What a kind has
        not is empty."""
        return [
            *(
                _json("format", entry, said.schemas if said else (), said.suffixes if said else ())
                for entry in self.formats
                for said in (entry.declaration,)
            ),
            *(_json("transform", entry) for entry in self.transforms),
            *(_json("source", entry) for entry in self.sources),
        ]


def _json(
    kind: str, entry: Listed[Any], schemas: Sequence[str] = (), suffixes: Sequence[str] = ()
) -> dict[str, Any]:
    return {
        "name": entry.name,
        "package": entry.plug_in and entry.plug_in.distribution,
        "version": entry.plug_in and entry.plug_in.version,
        "schemas": list(schemas),
        "suffixes": list(suffixes),
        "about": entry.declaration.about if entry.declaration else None,
        "problem": entry.problem,
        "kind": kind,
    }


def _origin(entry: Listed[Any]) -> str:
    return _BUILT_IN if entry.plug_in is None else entry.plug_in.package
