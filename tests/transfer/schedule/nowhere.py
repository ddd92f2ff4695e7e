"""A sink for tests of the scheduler, which hands it nothing."""

from __future__ import annotations


class Nowhere:
    """Bytes are the driver's business; a scheduler alone writes none."""

    def write(self, position: int, data: bytes | memoryview) -> None:
        raise AssertionError("a scheduler has no bytes to write")
