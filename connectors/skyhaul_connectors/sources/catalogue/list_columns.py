"""The columns of a list of objects: those that are read, and what is said of others.

A list may have columns for other readers. One whose name is nearly one of ours is a check, or a pin, that
would not be made, so it is refused; a digest of a kind that is not checked is told.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

CELLS = ("url", "path", "size", "sha256", "crc32c")
"""What a CSV may have."""
KEYS = (*CELLS, "block_size", "blocks")
"""What a line of JSON may have."""
NOT_CHECKED = "a column of digests that are not checked; sha256 and crc32c are"

_MEANT = {key.replace("_", ""): key for key in KEYS}
_CHECKS = ("sha256", "crc32c", "size", "blocksize")
"""Checks and pins: a name that is merely close to one of these is refused. Without a `url` or a `path` a list
is refused anyhow."""


_CLOSE = 0.8
"""Of difflib's ratio: `sha265` has 0.83."""
_DIGESTS = frozenset(
    {
        "md5", "md5sum", "md5hash", "contentmd5", "sha", "sha1", "sha1sum", "sha2", "sha224", "sha384",
        "sha512", "sha512sum", "sha3", "blake2", "blake2b", "blake2s", "blake3", "crc", "crc32", "crc64",
        "crc64nvme", "adler32", "xxhash", "xxh3", "xxh64", "xxh128", "etag", "checksum", "checksums",
        "digest", "hash",
    }
)  # fmt: skip
_SEEN_CAP = 1000
"""Names that are looked at: each line of JSON may bring others, and difflib is slow."""

_NAME_CAP = 100
"""Characters of a name that are looked at and shown."""


class OtherColumns:
    """The columns of one list that are not read; each is looked at once.

    Args:
        told: Where digests that are not checked are counted; None where nobody listens."""

    def __init__(self, told: LeftOut | None = None) -> None:
        self._told = told
        self._seen = set(KEYS)

    def note(self, names: Iterable[str], place: str) -> None:
        """Raises UsageError for a name that can only be meant for one of ours."""
        for name in names:
            if name not in self._seen and len(self._seen) < _SEEN_CAP:
                self._seen.add(name)
                self._look_at(name, place)

    def _look_at(self, name: str, place: str) -> None:
        folded = re.sub(r"[\W_]+", "", name[:_NAME_CAP]).casefold()
        if folded in _DIGESTS:
            if self._told is not None:
                self._told.unchecked.add(name, NOT_CHECKED)
            return
        within = [check for check in _CHECKS[:2] if check in folded]
        meant = [folded] if folded in _MEANT else within
        meant = meant or difflib.get_close_matches(folded, _CHECKS, 1, _CLOSE)
        if meant:
            raise UsageError(
                f"{place}: {printable(name[:_NAME_CAP])!r} is not read; if {_MEANT[meant[0]]} is meant, write"
                " that, else give it another name"
            )
