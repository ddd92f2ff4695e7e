"""Chunks dealt to shards: a function of the seed, the objects and the sizes, and of nothing else.

Chunks of a source are taken in the order of a keyed hash, so that each shard is a fair sample of its
source and no shard depends on the order in which a listing came; shards are filled up to `target_size`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from skyhaul.planning.build.catalogue import Cut
from skyhaul_connectors.formats.records.joining import GROUP_CAP
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.printable import printable

GroupOf = Callable[[PinnedObject], str | None]
"""What the objects of a group have in common; None: the object stands alone."""

CHUNKS_A_SHARD = 20_000
"""Chunks in a shard at most, however small they are; a group may bring more. A worker holds the chunks of a
shard in memory, and each costs a row of the plan and an entry of the commit record. `verify` has room for
32,768 objects a shard (`skyhaul.verification.rows_check`). Chosen, not measured."""

# Whatever changes which chunk comes into which shard raises DEALING_VERSION (skyhaul.planning.versions).


def deal_key(seed: int, obj: PinnedObject, offset: int, group: str | None = None) -> bytes:
    """BLAKE2b, keyed with the seed (8 bytes, big-endian), of source, path and offset: 16 bytes.

    The objects of a group have its name in their path's place, so that they come side by side."""
    # Keyed by the seed and by nothing that another object has: what is added or dropped moves no other chunk
    # to another place in the order.
    place = f"{obj.source}\0{obj.path if group is None else group}\0{offset}".encode()
    return hashlib.blake2b(place, digest_size=16, key=seed.to_bytes(8, "big")).digest()


def _alone(obj: PinnedObject) -> str | None:
    return None


def deal(
    cuts: Iterable[Cut], target_size: int, first: int = 0, group_of: GroupOf = _alone
) -> Iterator[Chunk]:
    """Number `cuts`, which come by source and then by key, from shard `first` on.

    A shard takes chunks of one source while they fit into `target_size` (source bytes), but always one, and a
    group whole.

    Raises:
        UsageError: For a group of more than GROUP_CAP."""
    shard, index, filled = first - 1, 0, 0
    source: str | None = None
    for group in _groups(cuts, group_of):
        length = sum(cut.length for cut in group)
        full = filled + length > target_size or index >= CHUNKS_A_SHARD
        # A shard without chunks would be none, so that one larger than `target_size` stands alone.
        if group[0].object.source != source or (full and index):
            shard, index, filled, source = shard + 1, 0, 0, group[0].object.source
        for cut in group:
            yield cut.placed(shard, index)
            index += 1
        filled += length


def _groups(cuts: Iterable[Cut], group_of: GroupOf) -> Iterator[list[Cut]]:
    held: list[Cut] = []
    last: tuple[str, str | None] | None = None
    for cut in cuts:
        group = group_of(cut.object)
        if held and (group is None or (cut.object.source, group) != last):
            yield held
            held = []
        if len(held) == GROUP_CAP:
            raise UsageError(
                f"source {cut.object.source!r}: more than {GROUP_CAP} objects are called"
                f" {printable(group or '')!r} but for their suffix; rename them, or leave out"
                " `captions: beside`"
            )
        held.append(cut)
        last = cut.object.source, group
    if held:
        yield held
