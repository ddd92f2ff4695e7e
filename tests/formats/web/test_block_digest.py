"""Digests of web archives, in every way in which they are stated."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.formats.web.digests import matches

WAYS: dict[str, Callable[[bytes], bytes]] = {
    "hex": lambda digest: digest.hex().encode(),
    "HEX": lambda digest: digest.hex().upper().encode(),
    "base32": base64.b32encode,
    "base32, lower case": lambda digest: base64.b32encode(digest).lower(),
    "base64": base64.b64encode,
    "base64 of URLs": base64.urlsafe_b64encode,
}


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512", "md5"])
@pytest.mark.parametrize("way", WAYS)
@given(block=st.binary(max_size=40), place=st.integers(0, 200), other=st.sampled_from("aB27019-_+"))
def test_a_digest_is_that_of_its_block_and_no_other(
    algorithm: str, way: str, block: bytes, place: int, other: str
) -> None:
    digest = WAYS[way](hashlib.new(algorithm, block, usedforsecurity=False).digest()).decode()
    for name in (algorithm, algorithm.upper(), algorithm.replace("sha", "sha-")):
        assert matches(f"{name}:{digest}", block)
        assert matches(f"{name}:{digest.rstrip('=')}", block)
    assert not matches(f"{algorithm}:{digest}", block + b"x")
    bare = digest.rstrip("=")
    # The last digit may hold bits that stand for nothing.
    place %= len(bare) - 1
    changed = bare[:place] + other + bare[place + 1 :]
    if way.startswith("base64"):
        # Either alphabet is read, but one in all of a digest.
        same = changed in (
            bare.translate(str.maketrans("-_", "+/")),
            bare.translate(str.maketrans("+/", "-_")),
        )
    else:
        same = changed.lower() == bare.lower()
    assert matches(f"{algorithm}:{changed}", block) == same


@pytest.mark.parametrize("stated", [None, "", "sha1", "sha1:", "sha1:abc", "crc32:00000000", "blake3:aa"])
def test_what_is_not_known_is_not_compared(stated: str | None) -> None:
    assert matches(stated, b"block")
