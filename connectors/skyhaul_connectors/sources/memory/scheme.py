"""Objects that exist by a rule as a kind of source."""

from __future__ import annotations

from collections.abc import Sequence

from skyhaul_connectors.sources.declaration import Opening, SourceKind
from skyhaul_connectors.sources.memory.synthetic import SCHEME, Rule, SyntheticSource
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.errors import UsageError


def _open(opening: Opening) -> Source:
    for key, given in (("options", opening.spec.options), ("checksums", opening.spec.checksums)):
        if given:
            raise UsageError(f"source {opening.name}: {SCHEME}:// takes no {key}")
    return SyntheticSource(opening.name, _rule(opening.name, opening.urls), timeouts=opening.timeouts)


def _selection(name: str, urls: Sequence[str]) -> list[str]:
    return [_rule(name, urls).pattern]


def _rule(name: str, urls: Sequence[str]) -> Rule:
    if len(urls) > 1:
        raise UsageError(f"source {name}: one synthetic URL a source; make them several sources")
    return Rule.parse(name, urls[0])


SYNTHETIC = SourceKind(
    schemes=(SCHEME,),
    about="made-up objects of a stated number and size, for rehearsals",
    open=_open,
    selection=_selection,
    options={},
    shown=False,
)
