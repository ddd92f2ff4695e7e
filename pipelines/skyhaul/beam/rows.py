"""What crosses between steps, as Beam rows: each class with a schema, a fixed name for it, and a coder that
gives equal bytes for equal values, which other languages read too.

Beam names the schema of a class by chance, so that a process would not know another one's: hence the names.
"""

from __future__ import annotations

from apache_beam import coders

from skyhaul.beam.piece import Piece
from skyhaul.beam.summary import HaulSummary
from skyhaul.hauling.config import BytesLeft, HaulConfig, Lot
from skyhaul.hauling.receipts import Receipt

ROWS: tuple[type, ...] = (BytesLeft, HaulConfig, Lot, Piece, Receipt, HaulSummary)

for row in ROWS:
    setattr(row, "_beam_schema_id", f"skyhaul.{row.__name__}")  # noqa: B010  # Beam's name
    coders.registry.register_row(row)
