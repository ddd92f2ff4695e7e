"""Objects as listed, checked, and cut into chunks. No I/O beyond what a format reads to find its cuts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from skyhaul.planning.catalogue import Cut
from skyhaul.planning.decoder_traits import may_select
from skyhaul_connectors.formats.parts import merged
from skyhaul_connectors.formats.protocol import Decoder, Selective
from skyhaul_schemas.errors import SkyhaulError, UsageError
from skyhaul_schemas.plan import NEEDED_CAP, PinnedObject
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import SIZE_LIMIT, exact_size, format_size

PATH_CAP = 4096
"""Bytes of an object's path, in UTF-8."""


def name_of(obj: PinnedObject) -> str:
    """The object for messages; what comes from a source is escaped."""
    return f"{obj.source}/{printable(obj.path)}"


def checked(objects: Iterable[PinnedObject], source: str) -> Iterator[PinnedObject]:
    """`objects` of a listing, each fit for a plan. Names are no output names, so that odd ones pass; those
    that could lead out of the source's root are refused. Raises UsageError."""
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
    if obj.path.startswith("/") or ".." in obj.path.split("/"):
        return "a path that leads out of the source's root"
    if not 0 <= obj.size < SIZE_LIMIT:
        return f"with a size of {obj.size} bytes, which cannot be"
    return None


def cut(
    obj: PinnedObject,
    decoder: Decoder,
    chunk_size: int,
    spool_limit: int | None,
    read: Callable[[int, int], bytes],
) -> Iterator[Cut]:
    """The chunks of `obj`: a partition of it. An object with a checksum of the whole is not cut, so that
    it is proven where it is written. spool_limit: bytes, or None where objects are read in place.
    Raises UsageError for a chunk that the spool cannot hold, and what `read` raises."""
    whole = obj.checksum is not None or not obj.size
    expected = 0
    for cut in [Cut(obj, 0, obj.size)] if whole else _cuts(obj, decoder, chunk_size, read):
        if cut.offset != expected or cut.length < 0 or (not cut.length and obj.size):
            raise SkyhaulError(
                f"bug: {name_of(obj)} is cut at {cut.offset}+{cut.length} where {expected} was due"
            )
        expected += cut.length
        if spool_limit is not None and cut.length * 2 > spool_limit:
            needed = sum(n for _, n in decoder.segments(cut.placed(0, 0)))
            if needed > spool_limit:
                raise UsageError(_too_large(obj, cut.length, needed, spool_limit))
        yield cut
    if expected != obj.size:
        raise SkyhaulError(f"bug: the chunks of {name_of(obj)} end at {expected}, not at {obj.size}")


def _cuts(
    obj: PinnedObject, decoder: Decoder, chunk_size: int, read: Callable[[int, int], bytes]
) -> Iterator[Cut]:
    if not may_select(decoder) or not isinstance(decoder, Selective) or not decoder.selects:
        yield from (Cut(obj, offset, length) for offset, length in decoder.cut(obj, chunk_size, read))
        return
    stretches = list(decoder.cut(obj, chunk_size, read))
    for (offset, length), needed in zip(stretches, decoder.needed(obj, stretches, read), strict=True):
        if needed is not None:
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
