"""Digests of objects that are read in place, where no spool checks them."""

from __future__ import annotations

import hashlib

from skyhaul_connectors.formats.bytes.chunk_bytes import FileChunkBytes
from skyhaul_connectors.transfer.spool.checksum import PIECE, has_sha256
from skyhaul_schemas.errors import ChecksumMismatch
from skyhaul_schemas.plan import Chunk, PinnedObject


class ProvedFile(FileChunkBytes):
    """Of a part of an object: each block is held against its digest before the first read of it."""

    def __init__(self, path: str, chunk: Chunk) -> None:
        super().__init__(path, chunk)
        self._verified: set[int] = set()

    def read(self, offset: int, length: int) -> bytes:
        obj = self.chunk.object
        stop = min(offset + length, obj.size)
        if obj.blocks is not None and offset < stop:
            for block in range(offset // obj.blocks.size, -(-stop // obj.blocks.size)):
                if block not in self._verified:
                    self._prove(block)
                    self._verified.add(block)
        return super().read(offset, length)

    def _prove(self, block: int) -> None:
        obj = self.chunk.object
        assert obj.blocks is not None
        digest = obj.blocks.digest_of(block)
        start, stop = obj.blocks.bounds(block, obj.size)
        read = super().read
        pieces = (read(at, min(PIECE, stop - at)) for at in range(start, stop, PIECE))
        if digest is not None and not has_sha256(digest, pieces):
            raise ChecksumMismatch(
                f"{obj.source}/{obj.path}: block {block} (bytes {start} to {stop}) has not the sha256 that"
                " the source's list states; mend the list or the file, then replay the shard"
            )


def open_proved(chunk: Chunk, path: str) -> FileChunkBytes:
    """The chunk's file, proved against what the source's list states. Raises ChecksumMismatch.

    By the checksum of the whole, where there is one and the chunk is all of the object; else block by
    block."""
    obj = chunk.object
    whole = chunk.length == obj.size and (obj.checksum or "").startswith("sha256:")
    if obj.blocks is not None and not whole:
        return ProvedFile(path, chunk)
    check_whole(obj, path)
    return FileChunkBytes(path, chunk)


def check_whole(obj: PinnedObject, path: str) -> None:
    """Raise ChecksumMismatch unless the file has the sha256 that the source's list states, if any."""
    kind, _, stated = (obj.checksum or "").partition(":")
    if kind != "sha256":
        return
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != stated:
        raise ChecksumMismatch(
            f"{obj.source}/{obj.path}: sha256 is {found[:16]}…, the source's list states {stated[:16]}…;"
            " mend the list or the file, then replay the shard"
        )
