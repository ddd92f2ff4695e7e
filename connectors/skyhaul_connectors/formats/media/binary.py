"""Any object as it is: `blob` rows of at most 16 MiB, however large the object.

Objects are cut at multiples of BLOB_PART_SIZE, so that a part is one row whatever chunk it lies in. `name`
is the path's last part; `parts` is the number of rows of the whole object. An empty object gives no row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from skyhaul_connectors.formats.decoder import Account, WholeObject, even_cuts, rows
from skyhaul_connectors.formats.media.media_type import HEAD, fingerprint, media_type
from skyhaul_connectors.formats.protocol import ChunkBytes, Decoded
from skyhaul_schemas.plan import Chunk, PinnedObject
from skyhaul_schemas.records import BLOB_PART_SIZE


class BinaryDecoder(WholeObject):
    """Decoder of anything to `blob`."""

    @property
    def fingerprint(self) -> Mapping[str, str]:
        return {"pyarrow": pa.__version__, **fingerprint()}

    def cut(self, obj: PinnedObject, chunk_size: int, read: Any = None) -> Iterator[tuple[int, int]]:
        step = max(1, chunk_size // BLOB_PART_SIZE) * BLOB_PART_SIZE
        return even_cuts(obj.size, step)

    def segments(self, chunk: Chunk) -> list[tuple[int, int]]:
        """The chunk, and the object's head, which tells the media type."""
        if not chunk.length:
            return []
        # Two stretches that touch are one segment, and one request instead of two.
        head = min(HEAD, chunk.object.size)
        if chunk.offset <= head:
            return [(0, chunk.offset + chunk.length)]
        return [(0, head), (chunk.offset, chunk.length)]

    def decode(self, data: ChunkBytes) -> Iterator[Decoded]:
        chunk = data.chunk
        size = chunk.object.size
        account = Account(self.settings, chunk)
        name = chunk.object.path.rpartition("/")[2]
        parts = -(-size // BLOB_PART_SIZE)
        kind = media_type(data.read(0, min(HEAD, size)), chunk.object.path) if chunk.length else None
        # A part belongs to the chunk in which it begins, should a plan have cut elsewhere.
        first = -(-chunk.offset // BLOB_PART_SIZE)
        stop = -(-(chunk.offset + chunk.length) // BLOB_PART_SIZE)
        for part in range(first, stop):
            offset = part * BLOB_PART_SIZE
            raw = data.read(offset, min(BLOB_PART_SIZE, size - offset))
            columns = [[name], [raw], [part], [parts], [kind], [offset], [len(raw)]]
            yield account.step(rows(self.schema, columns))
