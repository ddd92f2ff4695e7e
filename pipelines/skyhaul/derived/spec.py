"""What a derived dataset is made by, and what its first step settles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal["compact", "reshard", "write"]

DERIVING_VERSION = 1
"""Raised whenever equal rows would come into other shards, or in another order. It is part of the plan's
fingerprint."""

MOST_SHARDS = 1 << 24
"""Of a derived dataset: the step that makes its plan holds an entry for each."""

TARGET_SIZE = 256 * 1024 * 1024
"""Uncompressed bytes of a shard, where nothing else is said: as in a job file."""


@dataclass(frozen=True, slots=True)
class DeriveSpec:
    """How rows become a derived dataset. Small, picklable."""

    dataset: str
    """Where it goes: path or URL."""
    kind: Kind
    """`compact`: rows keep their order; `reshard`: they are shuffled by the seed; `write`: so are rows that
    somebody's pipeline gives."""
    target_size: int = TARGET_SIZE
    """Uncompressed bytes of a shard, about."""
    seed: int = 0
    made_by: str = ""
    """Of `write`: name and version of what made the rows."""
    schema: str = ""
    """Of `write` without inputs: the record schema."""
    shards: int = 0
    """Of `write`: how many; 0: by `target_size`."""
    name: str = ""
    """Of the dataset, for reports; empty: after the inputs."""


class Claim(NamedTuple):
    """What the first step settled: the folder is this derivation's, and its inputs are pinned."""

    shards: int
    """Those of the derived dataset."""
    rows: int
    """Of the inputs."""
    schema: str
    done: bool
    """The dataset is whole already."""
    about: str = "{}"
    """JSON: what the inputs' jobs say about them (licence, opt-out), for the card."""


class Written(NamedTuple):
    """A shard whose files are in place, and which is not committed yet."""

    shard: int
    size: int
    """Bytes of its rows' content."""
    sha256: str
    """Of its rows' content."""
    rows: int
    files: str
    """JSON: its files, as its commit record names them."""
    started: str
    """UTC, RFC 3339."""
