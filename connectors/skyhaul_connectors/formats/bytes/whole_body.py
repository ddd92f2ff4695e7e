"""An object that is one record: all of it, up to a cap."""

from __future__ import annotations

from skyhaul_connectors.formats.bytes.stream import PIECE, Broken, Stream
from skyhaul_connectors.formats.decoder import Account
from skyhaul_schemas.records import RAW_CAP


def read_whole(stream: Stream, cap: int, cap_name: str, account: Account) -> bytes | None:
    """The bytes of `stream`; None after it was rejected, as broken or longer than `cap` bytes.

    Args:
        stream: Read to its end.
        cap: Bytes of a record at most.
        cap_name: The option that sets it, for the reason.
        account: Is told of the reject."""
    parts: list[bytes] = []
    length, start = 0, stream.position
    try:
        while piece := stream.read(PIECE):
            length += len(piece)
            # What is too long is read to its end all the same, without being held: the reject states the
            # whole length, and a stream that is broken further on is damage.
            if length - len(piece) <= cap:
                parts.append(piece)
    except Broken as broken:
        # By the stream's own word: it may have seen more than it could give.
        account.damage(0, stream.position - start, broken.reason, b"".join(parts)[:RAW_CAP])
        return None
    if length > cap:
        reason = f"a record of {length} bytes, more than {cap_name} of {cap}"
        account.reject(0, length, reason, b"".join(parts)[:RAW_CAP])
        return None
    return b"".join(parts)
