"""Ids of the schemas of rows, the same in every process."""

from __future__ import annotations

import uuid


def fix_schema_id(row: type) -> None:
    """Give the schema of a class an id that its name alone decides.

    Beam draws one by chance otherwise, and another process would not know the rows of this one. It is a UUID
    by name (RFC 9562, section 5.5): Beam's Java side, and with it Flink's job server, reads it as a UUID.
    """
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"skyhaul:{row.__name__}")
    setattr(row, "_beam_schema_id", str(name))  # noqa: B010  # Beam's name
