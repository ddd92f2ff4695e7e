"""What the encoder needs of a plan's recipe: the part of a job that reaches a shard's bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from skyhaul_connectors.formats.protocol import Decoder


class EncodeRecipe(Protocol):
    """Sizes in bytes, uncompressed. `plan` is the plan's digest. `seed` is the job's, not negative."""

    @property
    def schema(self) -> str: ...
    @property
    def plan(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def splits(self) -> Mapping[str, float]: ...
    @property
    def row_group_size(self) -> int: ...
    @property
    def file_size(self) -> int: ...
    @property
    def codec(self) -> str: ...
    @property
    def level(self) -> int | None: ...

    def decoder(self, source: str, path: str) -> Decoder:
        """The decoder of one object."""
