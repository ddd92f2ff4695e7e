"""`_skyhaul/plan/derivation.json`: what a dataset is derived from, and how. Created, never replaced.

It is the first thing in the folder of a derived dataset, and decides whose the folder is: whoever comes with
another derivation is refused before a row is written. The plan's header holds the same (`job.derived`), and
so the plan's digest covers it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.derived.spec import DERIVING_VERSION, MOST_SHARDS, Kind
from skyhaul.planning.fingerprint import encoder_fingerprint
from skyhaul.shards.row_content import CONTENT_VERSION
from skyhaul_schemas import layout
from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.errors import CommitConflict, FingerprintMismatch, PlanDamaged, PlanMismatch
from skyhaul_schemas.plan import DERIVED, PlanHeader
from skyhaul_schemas.printable import printable

SOURCE = "rows"
"""The one source of a derived dataset: its objects are the rows of its shards."""


@dataclass(frozen=True, slots=True)
class Input:
    """A dataset that rows come from."""

    name: str
    """Of its job."""
    plan: str
    """Digest of its plan."""
    shards: int
    """Committed, of which rows were taken."""
    missing: int
    """Shards of its plan that were not."""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How a dataset is derived. JSON's values only."""

    kind: Kind
    schema: str | dict[str, Any]
    """A name, or a schema of a job's own as its plan states it."""
    seed: int
    target_size: int
    # Checked where it is read: a plan may come from anyone, and NumPy's integers end.
    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS)]
    made_by: str
    encoding: dict[str, Any]
    """row_group_size, file_size, compression."""
    inputs: list[Input]
    files: int
    rows: int
    """Of the inputs' files."""
    files_digest: str
    """sha256 over the inputs' files (`skyhaul.derived.inputs`)."""
    fingerprint: dict[str, str]
    """Versions of all that the bytes of a shard depend on besides its rows."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Rows of the inputs that are not in the dataset, by reason. Known when the plan is made: empty in
    derivation.json."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def digest(self) -> str:
        """Hex sha256 of what it says."""
        return hashlib.sha256(canonical_json(self.to_json())).hexdigest()


_DERIVATION = TypeAdapter(Derivation)


def derivation_of(header: PlanHeader) -> Derivation | None:
    """The derivation that a plan's header holds; None: the plan is of a haul. Raises PlanDamaged."""
    stated = header.job.get(DERIVED)
    return None if stated is None else _parsed(json.dumps(stated).encode(), layout.SHARDS)


def read_derivation(store: DatasetStore) -> Derivation | None:
    """That of the folder; None where there is none. Raises PlanDamaged, StorageError."""
    try:
        return _parsed(store.read_bytes(layout.DERIVATION), layout.DERIVATION)
    except FileNotFoundError:
        return None


def fingerprint_here() -> dict[str, str]:
    """What this installation would write by."""
    own = {"skyhaul.deriving": str(DERIVING_VERSION), "skyhaul.row_content": str(CONTENT_VERSION)}
    return dict(sorted({**encoder_fingerprint(()), **own}.items()))


def claimed(store: DatasetStore) -> Derivation:
    """The derivation that the folder is claimed by, for a step that goes on with it.

    Raises:
        PlanDamaged: There is none.
        FingerprintMismatch: This installation would write other bytes than the one that claimed it.
        StorageError: The storage fails otherwise."""
    derivation = read_derivation(store)
    if derivation is None:
        raise PlanDamaged(f"{layout.DERIVATION} in dataset {store.place} is missing")
    here = fingerprint_here()
    if derivation.fingerprint != here:
        names = sorted(derivation.fingerprint.keys() | here.keys())
        differs = "; ".join(
            f"{printable(name)}: it has {printable(derivation.fingerprint.get(name, 'none'))}, here is"
            f" {here.get(name, 'none')}"
            for name in names
            if derivation.fingerprint.get(name) != here.get(name)
        )
        raise FingerprintMismatch(
            f"this installation writes otherwise than dataset {store.place} was begun with ({differs});"
            " install those versions on all workers, or choose another folder"
        )
    return derivation


def write_derivation(store: DatasetStore, derivation: Derivation) -> None:
    """Claim the folder. Raises PlanMismatch where another derivation has, StorageError."""
    data = json.dumps(derivation.to_json(), indent=1, sort_keys=True).encode() + b"\n"
    try:
        store.create_bytes(layout.DERIVATION, data)
    except CommitConflict:
        standing = read_derivation(store)
        theirs = standing.to_json() if standing is not None else {}
        ours = derivation.to_json()
        differs = ", ".join(sorted(name for name in ours if ours[name] != theirs.get(name)))
        raise PlanMismatch(
            f"dataset {store.place} was derived otherwise (its {differs} differ: {layout.DERIVATION}); choose"
            " another folder"
        ) from None


def _parsed(data: bytes, name: str) -> Derivation:
    try:
        return _DERIVATION.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PlanDamaged(f"{name}: its derivation is wrong at {where!r}: {first['msg']}") from None
