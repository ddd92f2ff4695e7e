"""The part of a job that reaches a shard, and how two of them differ.

Never in it: links, `via`, dataset, spool, name, max_connections, patience, options of filesystems, and
where a source's root lies. So none of these is a difference between a job and its dataset's plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from skyhaul_schemas.canonical_json import canonical_json
from skyhaul_schemas.job.model import Job, SourceSpec
from skyhaul_schemas.own_schema import OwnSchema
from skyhaul_schemas.printable import FOUND_CAP, printable
from skyhaul_schemas.units import exact_size

_SIZES = ("target_size", "chunk_size", "row_group_size", "file_size")
"""Keys whose numbers a difference shows as sizes, as the job file writes them."""


def digested_part(job: Job, selections: Mapping[str, list[str]]) -> dict[str, Any]:
    """The part of `job` that the plan's digest covers, as JSON's values.

    Args:
        job: The job.
        selections: Source -> patterns below its root, in the order of the job file. Not the URL: where the
            root lies may change, and may hold a secret.
    """
    # A key that came later is left out where the job says nothing of it: a plan that never used it keeps its
    # digest, and its dataset goes on.
    shards = job.shards
    return {
        "schema": job.schema_.to_json() if isinstance(job.schema_, OwnSchema) else job.schema_,
        "seed": job.seed,
        "on_damage": job.on_damage,
        "on_drift": job.on_drift,
        "sources": {
            name: _source(job, spec, selections[name])
            for name, spec in sorted(job.sources.items(), key=_bytes)
        },
        "shards": {
            "target_size": shards.target_size,
            "chunk_size": shards.chunk_size,
            "row_group_size": shards.row_group_size,
            "file_size": shards.file_size,
            "compression": shards.compression,
            "splits": dict(sorted(shards.splits.items())),
        },
        **({"transforms": [rule.to_json() for rule in job.transforms]} if job.transforms else {}),
    }


def job_difference(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """What differs between the digested parts `a` of a plan and `b` of a job, one readable line each.

    For example `shards.target_size: plan has 64 MiB, job says 32 MiB`.
    """
    return list(_differences(a, b, ""))


def _source(job: Job, spec: SourceSpec, selection: list[str]) -> dict[str, Any]:
    # The one that holds, wherever it stands: moving it from the job to the source is no difference.
    ceiling = spec.max_rejects or job.max_rejects
    return {
        "selection": list(selection),
        "format": spec.format,
        "fields": dict(sorted(spec.fields.items())),
        # As it comes back from a plan's header, so that the two compare equal.
        "decode": json.loads(canonical_json(spec.decode)),
        # Only whether: the digests of the list are in the pinned objects.
        "checksums": spec.checksums is not None,
        **({"max_rejects": ceiling.to_json()} if ceiling else {}),
        **({"transforms": [rule.to_json() for rule in spec.transforms]} if spec.transforms else {}),
    }


def _bytes(item: tuple[str, Any]) -> bytes:
    return item[0].encode()


def _differences(a: Mapping[str, Any], b: Mapping[str, Any], where: str) -> Iterator[str]:
    for key in sorted(a.keys() | b.keys()):
        place = f"{where}.{key}" if where else key
        if key not in b:
            yield f"{printable(place)}: plan has {_shown(key, a[key])}, job says nothing"
        elif key not in a:
            yield f"{printable(place)}: plan has nothing, job says {_shown(key, b[key])}"
        elif isinstance(a[key], Mapping) and isinstance(b[key], Mapping):
            yield from _differences(a[key], b[key], place)
        # Python has 1 == 1.0 == True; their JSON, and so the plan's digest, differs.
        elif a[key] != b[key] or type(a[key]) is not type(b[key]):
            yield f"{printable(place)}: plan has {_shown(key, a[key])}, job says {_shown(key, b[key])}"


def _shown(key: str, value: Any) -> str:
    if key in _SIZES and isinstance(value, int):
        return exact_size(value)
    if value is None:
        return "nothing"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ", ".join(value) or "nothing"
    elif isinstance(value, str):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = printable(text)
    return text if len(text) <= FOUND_CAP else f"{text[:FOUND_CAP]}…"
