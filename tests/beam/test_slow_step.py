"""What follows a haul costs its link nothing: it runs behind a reshuffle, and not in the hauling thread."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from tests.beam.rig import ADAPTERS, KEPT, committed, job_of, keep, pipeline, planned, write_texts
from tests.faults.hostile_http import HostileServer

from skyhaul.beam import Haul

SHARDS, SIZE, RATE = 160, 12_000, 2_000_000
LINK = {"thin": {"down": "2Mbit/s", "shared": "store"}}
"""Some eight seconds of it, with more shards than are claimed ahead."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostileServer]:
    with HostileServer(write_texts(tmp_path_factory.mktemp("server") / "texts", SHARDS, SIZE)) as running:
        yield running


def nap(receipt: Any) -> Any:
    keep(time.time(), receipt.dataset)
    time.sleep(0.1)
    return receipt


def hauled(
    folder: Path, server: HostileServer, adapter: str, *, slow: bool, files: str = "*.txt"
) -> tuple[float, float]:
    """When the first shard was committed and when the last."""
    job = job_of(folder, {"texts": {"url": f"{server.url}{files}", "via": ["thin"]}}, LINK)
    shards = planned(job)
    with pipeline() as made:
        haul = made | Haul(str(job), adapter=adapter)  # type: ignore[arg-type]
        if slow:
            haul.shards | beam.Map(nap)
    at = sorted(datetime.fromisoformat(record.finished).timestamp() for record in committed(job).values())
    assert len(at) == shards
    return at[0], at[-1]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_what_follows_a_haul_does_not_run_in_its_thread(
    adapter: str, server: HostileServer, tmp_path: Path
) -> None:
    _, last = hauled(tmp_path / "haul", server, adapter, slow=True, files="00*.txt")
    assert len(KEPT[str(tmp_path / "haul" / "out")]) == 10
    # On the local runner a stage runs when the one before it is over; what is fused runs with it.
    assert min(KEPT[str(tmp_path / "haul" / "out")]) > last


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_slow_step_behind_a_haul_leaves_its_link_as_it_was(
    adapter: str, server: HostileServer, tmp_path: Path
) -> None:
    ratios = []
    for turn in range(3):
        first, last = hauled(tmp_path / f"alone-{turn}", server, adapter, slow=False)
        alone = last - first
        assert alone > 0.8 * SHARDS * SIZE * 8 / RATE, "the link is what it waits for"
        first, last = hauled(tmp_path / f"beside-{turn}", server, adapter, slow=True)
        ratios.append(alone / (last - first))
    print(adapter, "link's use beside a slow step, of its use alone:", ratios)
    assert sorted(ratios)[1] >= 0.95
