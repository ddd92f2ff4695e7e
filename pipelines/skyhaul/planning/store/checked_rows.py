"""Rows and header of a plan file as typed values; whatever does not fit is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from skyhaul.planning.store.table_reader import HEADER_CAP
from skyhaul.planning.versions import DERIVED_FORMAT, PLAN_FORMAT
from skyhaul_schemas import layout
from skyhaul_schemas.block_digests import unpacked
from skyhaul_schemas.errors import PlanDamaged
from skyhaul_schemas.plan import (
    CUT_SHORT,
    DERIVED,
    DROPPED,
    EMPTIED,
    KEY,
    NEEDED_CAP,
    PINNED_ANEW,
    Chunk,
    DroppedChunk,
    PinnedObject,
    PlanHeader,
    Ranges,
)
from skyhaul_schemas.printable import printable

_HEADER = TypeAdapter(PlanHeader)


def parse_json(text: bytes, name: str) -> dict[str, Any]:
    """The JSON object that a plan's file carries. Raises PlanDamaged."""
    if not text or len(text) > HEADER_CAP:
        raise PlanDamaged(f"{name}: its header is missing or too large")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise PlanDamaged(f"{name}: its header is no JSON") from None
    if not isinstance(value, dict):
        raise PlanDamaged(f"{name}: its header is no JSON object")
    return value


def parse_header(text: bytes, name: str = layout.SHARDS) -> PlanHeader:
    """The header of a generation's shards file. Raises PlanDamaged."""
    value = parse_json(text, name)
    job = value.get("job")
    due = DERIVED_FORMAT if isinstance(job, dict) and DERIVED in job else PLAN_FORMAT
    if value.get("format") != due:
        raise PlanDamaged(f"{name}: its format is not {due}; another version wrote it")
    try:
        return _HEADER.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise PlanDamaged(f"{name}: its header is wrong at {where!r}: {first['msg']}") from None


def checked_object(row: dict[str, Any], name: str) -> PinnedObject:
    """An object of a row. Raises PlanDamaged for one that no planner writes."""
    obj = PinnedObject(
        row["source"], row["path"], row["size"], row["version"], row["checksum"], row["locator"]
    )
    leaves_root = obj.path.startswith("/") or ".." in obj.path.split("/")
    if not obj.path or (leaves_root and obj.locator != KEY) or obj.size < 0:
        raise PlanDamaged(f"{name}: an object has the path {obj.path!r} and {obj.size} bytes")
    if row["blocks"] is None:
        return obj
    try:
        return replace(obj, blocks=unpacked(row["blocks"], obj.size))
    except ValueError as error:
        raise PlanDamaged(f"{name}: the block digests of {obj.path!r} are none: {error}") from None


def checked_chunk(row: dict[str, Any], name: str) -> Chunk:
    """A chunk of a row. Raises PlanDamaged for one that lies outside of its object."""
    if row["chunk"] == EMPTIED and row["path"] == "":
        return Chunk(row["shard"], EMPTIED, PinnedObject(row["source"], "", 0, ""), 0, 0)
    obj = checked_object(row, name)
    chunk = Chunk(row["shard"], row["chunk"], obj, row["offset"], row["length"])
    if chunk.offset < 0 or chunk.length < 0 or chunk.offset + chunk.length > obj.size:
        raise PlanDamaged(f"{name}: a chunk of {obj.path!r} lies outside of its {obj.size} bytes")
    stated = row["needed"]
    return chunk if stated is None else replace(chunk, needed=_checked_needed(stated, chunk, name))


def _checked_needed(numbers: list[int], chunk: Chunk, name: str) -> Ranges:
    """The parts of `chunk` that a row states. Raises PlanDamaged where they are none."""
    needed = tuple(zip(numbers[::2], numbers[1::2], strict=False))
    at = chunk.offset
    sound = len(numbers) % 2 == 0 and len(needed) <= NEEDED_CAP
    for offset, length in needed:
        sound &= length > 0 and offset >= at
        at = offset + length
    if not sound or at > chunk.offset + chunk.length:
        raise PlanDamaged(f"{name}: what a chunk of {chunk.object.path!r} needs are no parts of it, in order")
    return needed


def checked_dropped(row: dict[str, Any], name: str) -> DroppedChunk:
    """A row of what was dropped. Raises PlanDamaged."""
    obj = checked_object(row, name)
    dropped = DroppedChunk(obj, row["taken_from"], row["offset"], row["length"], row["fate"])
    if dropped.fate not in (PINNED_ANEW, DROPPED, CUT_SHORT):
        raise PlanDamaged(f"{name}: an object has the fate {printable(dropped.fate)!r}")
    return dropped
