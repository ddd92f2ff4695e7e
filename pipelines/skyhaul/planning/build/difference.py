"""What is otherwise at the sources than it is planned: new, changed, vanished. Streams, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from skyhaul.planning.store.plan import place_of
from skyhaul_connectors.sources.left_out import LeftOut, Tally
from skyhaul_schemas.plan import PinnedObject, PlanHeader

CHANGES_KEPT = 10_000
"""Changes that an update lists one by one; more are only counted, so that their memory is bounded. The plan
itself holds all that it drops. Chosen, not measured."""

Outcome = Literal["planned", "pinned-anew", "dropped", "cut-short", "kept", "left"]


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """An object that is otherwise than planned.

    Sizes in bytes; versions as PinnedObject has them; None where there is none."""

    source: str
    path: str
    what: str
    """`new`, `changed` or `vanished`."""
    outcome: Outcome
    """What became of it in the plan: `planned` (new), `pinned-anew`, `dropped`, `cut-short` (part committed,
    the rest dropped), `kept` (all of it is committed as it was), or `left` (untouched: an extension amends
    nothing, an amendment extends nothing)."""
    size: int | None
    planned_size: int | None
    version: str | None
    planned_version: str | None


@dataclass(slots=True)
class PlanUpdate:
    """What an extension or an amendment did."""

    kind: str
    header: PlanHeader
    generation: int | None = None
    """Its number, or None where there was nothing to do."""
    shards: int = 0
    """How many it added."""
    bytes: int = 0
    amended: list[int] = field(default_factory=list)
    """The earlier shards that it changed."""
    changes: list[ObjectChange] = field(default_factory=list)
    """At most CHANGES_KEPT."""
    counts: dict[str, int] = field(default_factory=dict)
    """All, as `what` and outcome -> number (`new planned`: 3)."""
    left_out: dict[str, dict[str, int]] = field(default_factory=dict)
    """As in PlanHeader, of the listing that was just made; so are the three below."""
    left_out_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    unchecked: dict[str, dict[str, int]] = field(default_factory=dict)
    unchecked_names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    set_aside: list[str] = field(default_factory=list)
    """A line for each commit record of a shard as it was before, which a haul elsewhere wrote meanwhile."""

    def leave_out(self, found: Mapping[str, LeftOut], unchecked: Mapping[str, Tally]) -> None:
        """Take over what the listings held that is no object, or is not checked."""
        self.unchecked = {name: names.counts() for name, names in unchecked.items()}
        self.unchecked_names = {name: names.names() for name, names in unchecked.items()}
        self.left_out = {name: names.counts() for name, names in found.items()}
        self.left_out_names = {name: names.names() for name, names in found.items()}

    def take_over(self, header: PlanHeader) -> None:
        """Take over what the generation with `header` has added; it is there now."""
        self.shards = header.shards - self.header.shards
        self.bytes = header.source_bytes - self.header.source_bytes
        self.header, self.generation = header, header.generation

    def add(self, now: PinnedObject | None, planned: PinnedObject | None, outcome: Outcome) -> None:
        obj = now or planned
        assert obj is not None
        what = what_of(now, planned)
        name = f"{what} {outcome}"
        self.counts[name] = self.counts.get(name, 0) + 1
        if len(self.changes) < CHANGES_KEPT:
            self.changes.append(
                ObjectChange(
                    obj.source,
                    obj.path,
                    what,
                    outcome,
                    now.size if now else None,
                    planned.size if planned else None,
                    now.version if now else None,
                    planned.version if planned else None,
                )
            )

    def count(self, what: str) -> int:
        return sum(number for name, number in self.counts.items() if name.split()[0] == what)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "generation": self.generation,
            "digest": self.header.digest,
            "shards": {"planned": self.header.shards, "added": self.shards, "amended": self.amended},
            "bytes_added": self.bytes,
            "counts": dict(sorted(self.counts.items())),
            "set_aside": self.set_aside,
            "changes": [asdict(change) for change in self.changes],
        }


def what_of(now: PinnedObject | None, planned: PinnedObject | None) -> str:
    return "vanished" if now is None else "new" if planned is None else "changed"


def differences(
    listed: Iterator[PinnedObject], planned: Iterator[PinnedObject]
) -> Iterator[tuple[PinnedObject | None, PinnedObject | None]]:
    """(now, planned) of each object that is not the same in both, by source and path; both come so."""
    now, then = next(listed, None), next(planned, None)
    while now is not None or then is not None:
        if then is None or (now is not None and place_of(now) < place_of(then)):
            yield now, None
            now = next(listed, None)
        elif now is None or place_of(then) < place_of(now):
            yield None, then
            then = next(planned, None)
        else:
            # What an object is. Where it is found (`locator`) may change without it being another one.
            if (now.size, now.version, now.checksum) != (then.size, then.version, then.checksum):
                yield now, then
            now, then = next(listed, None), next(planned, None)
