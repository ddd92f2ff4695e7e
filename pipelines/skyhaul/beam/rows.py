"""What crosses between steps, as Beam rows.

Each class with a schema, a fixed name for it, and a coder that gives equal bytes for equal values, which
other languages read too.

Beam names the schema of a class by chance, so that a process would not know another one's: hence the names.
"""

from __future__ import annotations

from typing import Any

from apache_beam import coders
from apache_beam.options.pipeline_options import SetupOptions
from apache_beam.utils.plugin import BeamPlugin

from skyhaul.beam.piece import Piece
from skyhaul.beam.schema_ids import fix_schema_id
from skyhaul.beam.summary import HaulSummary
from skyhaul.hauling.config import BytesLeft, HaulConfig, Lot
from skyhaul.hauling.receipts import Receipt

ROWS: tuple[type, ...] = (BytesLeft, HaulConfig, Lot, Piece, Receipt, HaulSummary)

for row in ROWS:
    fix_schema_id(row)
    coders.registry.register_row(row)


class Rows(BeamPlugin):
    """Has Beam's workers import this module as they start.

    A worker that has read a row before has it as a class of Beam's own (`skyhaul.hauling.config.restored`).
    Dataflow's runner looks for plug-ins itself."""


def have_workers_know(pipeline: Any) -> None:
    """The rows, on runners that pass a pipeline's options on."""
    setup = pipeline.options.view_as(SetupOptions)
    name = f"{Rows.__module__}.{Rows.__name__}"
    if name not in (setup.beam_plugins or []):
        setup.beam_plugins = [*(setup.beam_plugins or []), name]
