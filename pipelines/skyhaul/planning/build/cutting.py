"""Objects as listed, checked, and cut into chunks. No I/O beyond what a format reads to find its cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from skyhaul.planning.build.catalogue import Cut
from skyhaul.planning.decoders import may_read_ahead, may_select
from skyhaul_connectors.formats.bytes.parts import fetched_ranges, merged
from skyhaul_connectors.formats.protocol import Decoder, Selective
from skyhaul_schemas.errors import SkyhaulError, UsageError
from skyhaul_schemas.plan import KEY, NEEDED_CAP, PinnedObject
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import SIZE_LIMIT, exact_size, format_size

PATH_CAP = 4096
"""Bytes of an object's path, in UTF-8: as many as Linux takes in a path (PATH_MAX). Chosen, not measured."""

BEYOND = 64 * 1024 * 1024
"""Bytes behind a chunk of which it keeps the block digests, for a record that begins in it and is long. What
its reader sees further on can only be the rest of a record that is too long to be taken; such reads are exact
answers without a digest (docs/adr/0006)."""


def name_of(obj: PinnedObject) -> str:
    """The object for messages; what comes from a source is escaped."""
    return f"{obj.source}/{printable(obj.path)}"


def checked(objects: Iterable[PinnedObject], source: str) -> Iterator[PinnedObject]:
    """`objects` of a listing, each fit for a plan.

    Names are no output names, so that odd ones pass; those that could lead out of the source's root are
    refused.

    Raises:
        UsageError: An object cannot be planned, such as one whose name leads out of the root."""
    for obj in objects:
        reason = _unfit(obj, source)
        if reason is not None:
            raise UsageError(f"source {source!r} lists {printable(obj.path)!r}, {reason}")
        yield obj


def _unfit(obj: PinnedObject, source: str) -> str | None:
    if obj.source != source:
        return f"an object of another source ({obj.source!r})"
    try:
        length = len(obj.path.encode())
        (obj.version + (obj.checksum or "") + (obj.locator or "")).encode()
    except UnicodeEncodeError:
        return "a name that is no UTF-8; rename it, or leave it out"
    if not 0 < length <= PATH_CAP:
        return f"a name of {length} bytes; 1 to {PATH_CAP} are allowed"
    if obj.locator != KEY and (obj.path.startswith("/") or ".." in obj.path.split("/")):
        return "a path that leads out of the source's root"
    if not 0 <= obj.size < SIZE_LIMIT:
        return f"with a size of {obj.size} bytes, which cannot be"
    if obj.blocks is not None and not obj.blocks.is_whole(obj.size):
        return "with digests of other blocks than it has"
    return None


def cut(
    obj: PinnedObject,
    decoder: Decoder,
    chunk_size: int,
    spool_limit: int | None,
    read: Callable[[int, int], bytes],
) -> Iterator[Cut]:
    """The chunks of `obj`: a partition of it.

    An object with a checksum of the whole is not cut, so that it is proven where it is written, unless there
    are digests of its blocks too; then it is cut at borders of blocks, where cutting reads no more than its
    first bytes.

    Args:
        obj: The object.
        decoder: Its decoder.
        chunk_size: Bytes of a chunk at most, where the format can be cut there.
        spool_limit: Bytes, or None where objects are read in place.
        read: Gives (offset, length) of the object.

    Raises:
        UsageError: For a chunk that the spool cannot hold, and what `read` raises."""
    # A checksum of the whole says nothing of a part. Formats that read more than an object's first bytes to
    # find their cuts (Parquet, Arrow IPC) stay whole with digests by block, too (docs/adr/0006).
    proven = obj.checksum is not None or obj.blocks is not None
    if obj.blocks is not None:
        # What is fetched of a chunk is whole blocks, so that all of it is proved: a block more on each
        # side, 3 % of the bytes at 64 MiB a chunk and 1 MiB a block (docs/adr/0006).
        chunk_size = max(1, chunk_size // obj.blocks.size) * obj.blocks.size
    whole = not obj.size or (proven and (obj.blocks is None or may_read_ahead(decoder)))
    expected = 0
    for cut in [Cut(obj, 0, obj.size)] if whole else _cuts(obj, decoder, chunk_size, read):
        # A format that lost or repeated bytes would show in `verify` only, after the haul; here it costs a
        # comparison a chunk.
        if cut.offset != expected or cut.length < 0 or (not cut.length and obj.size):
            raise SkyhaulError(
                f"bug: {name_of(obj)} is cut at {cut.offset}+{cut.length} where {expected} was due"
            )
        expected += cut.length
        # What is fetched beside a chunk (a head, a block on each side) is taken to be less than the chunk, so
        # that it is worked out for the few that come near the limit.
        if spool_limit is not None and cut.length * 2 > spool_limit:
            needed = sum(n for _, n in fetched_ranges(cut.placed(0, 0), decoder))
            if needed > spool_limit:
                raise UsageError(_too_large(obj, cut.length, needed, spool_limit))
        yield cut if obj.blocks is None or cut.length == obj.size else _with_own_digests(cut, decoder)
    if expected != obj.size:
        raise SkyhaulError(f"bug: the chunks of {name_of(obj)} end at {expected}, not at {obj.size}")


def _with_own_digests(cut: Cut, decoder: Decoder) -> Cut:
    """`cut` with the digests that its reader may need, so that a plan's rows stay small."""
    obj = cut.object
    assert obj.blocks is not None
    stop = cut.offset + cut.length
    beyond = (stop, min(BEYOND, obj.size - stop))
    known = obj.blocks.only([*fetched_ranges(cut.placed(0, 0), decoder), beyond], obj.size)
    return cut._replace(object=replace(obj, blocks=known))


def _cuts(
    obj: PinnedObject, decoder: Decoder, chunk_size: int, read: Callable[[int, int], bytes]
) -> Iterator[Cut]:
    if not may_select(decoder) or not isinstance(decoder, Selective) or not decoder.selects:
        yield from (Cut(obj, offset, length) for offset, length in decoder.cut(obj, chunk_size, read))
        return
    stretches = list(decoder.cut(obj, chunk_size, read))
    for (offset, length), needed in zip(stretches, decoder.needed(obj, stretches, read), strict=True):
        if needed is not None:
            # The narrowest gaps are fetched along, so that a row of the plan stays small.
            needed = merged(needed, NEEDED_CAP)
            if needed == ((offset, length),):
                needed = None
        yield Cut(obj, offset, length, needed)


def _too_large(obj: PinnedObject, length: int, needed: int, spool_limit: int) -> str:
    whole = length == obj.size
    why = ", which has a checksum of the whole and so is not cut" if whole and obj.checksum else ""
    less = "" if whole else ", or lower `shards.chunk_size`"
    return (
        f"object {name_of(obj)}{why}: a chunk of it needs {format_size(needed)} of spool, and `spool_limit`"
        f" is {exact_size(spool_limit)}; raise `spool_limit`{less}"
    )
