"""What crosses between steps, as Beam rows.

Each class with a fixed id for its schema, and a coder that gives equal bytes for equal values.

Beam names the schema of a class by chance, so that a process would not know another one's: hence fixed ids.
"""

from __future__ import annotations

from apache_beam import coders

from skyhaul.beam.schema_ids import fix_schema_id
from skyhaul.derived.runs import RunStretch
from skyhaul.derived.spec import Claim, Written
from skyhaul.rows.shard_ref import ShardRef

ROWS: tuple[type, ...] = (Claim, RunStretch, ShardRef, Written)

for row in ROWS:
    fix_schema_id(row)
    coders.registry.register_row(row)
