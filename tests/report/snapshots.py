"""Snapshots of a haul for tests of what is shown of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skyhaul.dataset.survey import SourceSurvey, Survey
from skyhaul.hauling.progress import Hauling, LinkProgress, Planning, Verifying
from skyhaul_schemas.commit import RecordCounts

LEO = LinkProgress(
    name="leo",
    state="up",
    rate=11.6e6,
    capacity=12e6,
    payload_bytes=21_000_000,
    wire_bytes=22_000_000,
    resent_bytes=300_000,
    outages=1,
)
HALF = Hauling(
    elapsed=12.3,
    source_bytes=34_000_000,
    source_bytes_done=17_000_000,
    shards=12,
    shards_committed=5,
    shards_failed=0,
    shards_deferred=0,
    records_read=1204,
    records_written=1200,
    records_rejected=4,
    links=(LEO,),
    eta=21.0,
)


def link(**changes: Any) -> LinkProgress:
    return replace(LEO, **changes)


def snapshot(**changes: Any) -> Hauling:
    return replace(HALF, **changes)


def finishing() -> Hauling:
    return replace(HALF, finishing=True)


def planning(*, elapsed: float = 12.3) -> Planning:
    return Planning(elapsed, objects=1947, source_bytes=34_000_000)


def verifying() -> Verifying:
    return Verifying(12.3, bytes_read=34_000_000, shards=12, shards_read=5)


def survey_of(**changes: Any) -> Survey:
    """A dataset of which nothing is committed but what `changes` say."""
    nothing = Survey(
        shards=10,
        shards_committed=0,
        shards_failed=0,
        shards_to_retry=0,
        shards_left=10,
        objects=10,
        objects_committed=0,
        source_bytes=0,
        source_bytes_committed=0,
        dataset_bytes=0,
        damaged_objects=0,
        records=RecordCounts(read=0, written=0, filtered=0, rejected=0),
        filtered_by={},
        transfer={},
        by_source={"s": SourceSurvey(shards=10)},
        splits={},
        failed_by_kind={},
    )
    return replace(nothing, **changes)
