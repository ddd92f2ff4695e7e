"""Decoders that make a record of several objects, asked by those who need not know the formats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded, Decoder, Joins
from skyhaul_schemas.plan import Chunk

GROUP_CAP = 256
"""Objects of a group at most: they are in one shard, and open at once."""

_joins: dict[type, bool] = {}


def joining(decoder: Decoder) -> Joins | None:
    """The decoder, if it may join objects.

    Asking a protocol takes longer than all else that is done with a small object, so the answer is remembered
    by class."""
    kind = type(decoder)
    if kind not in _joins:
        _joins[kind] = isinstance(decoder, Joins)
    return decoder if _joins[kind] and isinstance(decoder, Joins) else None


def group_of(decoder: Decoder, path: str) -> str | None:
    """What the objects that belong to one at `path` have in common; None: it stands alone."""
    joins = joining(decoder)
    return None if joins is None else joins.group_of(path)


def grouped(
    chunks: Iterable[Chunk], decoder_of: Callable[[str, str], Decoder]
) -> Iterator[tuple[Decoder, list[Chunk]]]:
    """Chunks of a shard in their order, those of one group together, at most GROUP_CAP of them.

    Args:
        chunks: In the shard's order: members of a group stand side by side.
        decoder_of: Gives the decoder of a source and a path."""
    held: list[Chunk] = []
    of_held: Decoder | None = None
    last: str | None = None
    for chunk in chunks:
        decoder = decoder_of(chunk.object.source, chunk.object.path)
        group = group_of(decoder, chunk.object.path)
        # Not by the decoder: of one that is built twice the other may be given next time.
        if of_held is not None and (group is None or group != last or len(held) == GROUP_CAP):
            yield of_held, held
            held = []
        held.append(chunk)
        of_held, last = decoder, group
    if of_held is not None:
        yield of_held, held


def decode_together(decoder: Decoder, members: Sequence[ChunkBytes]) -> Iterator[tuple[int, Decoded]]:
    """Each step of decoding `members`, with the place among them of the one that it is of.

    Raises what `decode` does."""
    joins = joining(decoder)
    if joins is not None:
        yield from joins.decode_group(members)
        return
    for place, data in enumerate(members):
        for step in decoder.decode(data):
            yield place, step
