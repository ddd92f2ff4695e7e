"""The encoder fingerprint: versions of all that the bytes of a shard depend on besides its input.

Our own encoders state an integer that rises when their output changes, so that a release of skyhaul that
changes no byte of a shard also changes no plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from skyhaul.planning.recipe import Recipe
from skyhaul.planning.versions import DEALING_VERSION
from skyhaul.shards import ENCODER_VERSION, language_tags
from skyhaul.shards.foreign_code.map_records import MAP_RECORDS, MapRecords
from skyhaul.transforms import transforms_fingerprint
from skyhaul_connectors.formats.protocol import Decoder
from skyhaul_connectors.formats.records import casts
from skyhaul_schemas.errors import FingerprintMismatch
from skyhaul_schemas.job.transforms import TransformSpec
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.plan import PlanHeader
from skyhaul_schemas.printable import printable
from skyhaul_schemas.records import RecordSchema


def encoder_fingerprint(
    decoders: Iterable[Decoder],
    rules: Iterable[TransformSpec] = (),
    plug_ins: Mapping[str, str] | None = None,
    map_records: MapRecords | None = None,
    schema: RecordSchema = "document",
) -> dict[str, str]:
    """Encoder or library -> version, by name, of all that a shard's bytes depend on.

    Args:
        decoders: Those of the plan's objects.
        rules: The job's transforms.
        plug_ins: What the packages state whose plug-ins are used (`PlugIn.fingerprint`).
        map_records: The program's own code between decoding and writing.
        schema: The dataset's schema.

    Raises:
        UsageError: A library is not installed.
    """
    found = {
        "skyhaul.dealing": str(DEALING_VERSION),
        "skyhaul.shards": str(ENCODER_VERSION),
        # Equal writes give equal bytes in every process of one version; of two versions nobody says so.
        "pyarrow": pa.__version__,
        **transforms_fingerprint(rules),
        **(plug_ins or {}),
        **(map_records.fingerprint if map_records else {}),
        **(language_tags.VERSION if schema == "document" else {}),
        # A plan of a built-in schema states nothing of it, as before there were others.
        **(casts.VERSION if isinstance(schema, OwnSchema) else {}),
    }
    for decoder in decoders:
        found.update(decoder.fingerprint)
    # By name, because it is part of the plan's digest.
    return dict(sorted(found.items()))


def check_fingerprint(header: PlanHeader, recipe: Recipe) -> None:
    """Raise FingerprintMismatch where this process would encode the plan otherwise than it was made."""
    check_map_records(header, recipe.map_records)
    # Of the decoders that the plan's objects need, and no others: a library that is not used may be missing.
    here = encoder_fingerprint(
        (recipe.decoder(source, path) for source, paths in header.samples.items() for path in paths),
        (rule for rules in recipe.rules.values() for rule in rules),
        recipe.plug_ins(header.samples),
        recipe.map_records,
        recipe.schema,
    )
    plan = header.fingerprint
    differences = [
        f"{printable(name)}: plan has {printable(plan.get(name, 'none'))}, here is {here.get(name, 'none')}"
        for name in sorted(plan.keys() | here.keys())
        if plan.get(name) != here.get(name)
    ]
    if differences:
        raise FingerprintMismatch(
            f"this installation encodes otherwise than the plan was made with ({'; '.join(differences)});"
            " install those versions, or plan into another `dataset`"
        )


def check_map_records(header: PlanHeader, map_records: MapRecords | None) -> None:
    """Raise FingerprintMismatch where a plan was made with other code of a program's own than is here."""
    planned = _own_code(header.fingerprint)
    here = _own_code(map_records.fingerprint if map_records else {})
    if planned == here:
        return
    plan = f"plan {printable(header.name)!r}"
    if not here:
        raise FingerprintMismatch(
            f"{plan} was made with a program's own code between decoding and writing (map_records"
            f" {_told(planned)}), which is not here; haul it by that program, with"
            " skyhaul.haul(job, map_records=...); `status` and `verify` need no such code"
        )
    made = f"with map_records {_told(planned)}" if planned else "without map_records"
    raise FingerprintMismatch(
        f"{plan} was made {made}, and {_told(here)} is given; give what it was made with, or plan into"
        " another `dataset`"
    )


def _own_code(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """Name -> version of the code of a program's own that a fingerprint states."""
    found = (key.partition(":") for key in fingerprint)
    return {name: fingerprint[f"{group}:{name}"] for group, _, name in found if group == MAP_RECORDS}


def _told(code: Mapping[str, str]) -> str:
    return " and ".join(f"{printable(name)!r} version {printable(version)}" for name, version in code.items())
