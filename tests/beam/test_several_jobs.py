"""Hauls of several jobs in one pipeline: each dataset whole, and receipts that say whose they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import registry
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindows, IntervalWindow, TimestampedValue
from tests.beam.rig import ADAPTERS, committed, job_of, pipeline, threads, write_texts

from skyhaul.beam import DealLots, HaulLots
from skyhaul.beam.transforms import haul_all
from skyhaul.hauling.config import HaulConfig, HaulOptions
from skyhaul.hauling.preparation import prepare_haul

NAMES = ("north", "south")
SHARDS = {"north": 3, "south": 5}


@pytest.fixture
def hauls(tmp_path: Path) -> dict[str, HaulConfig]:
    made = {}
    for name in NAMES:
        texts = write_texts(tmp_path / f"{name}-texts", SHARDS[name])
        # Over HTTP they would have an engine each; a source of one name in both is told apart too.
        job = job_of(tmp_path / name, {"texts": {"url": str(texts / "*.txt")}})
        made[name] = prepare_haul(job, HaulOptions())
    return made


def due(hauls: dict[str, HaulConfig]) -> list[tuple[str, str, int]]:
    return [(hauls[name].dataset, hauls[name].run, n) for name in NAMES for n in range(SHARDS[name])]


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("repeat", [0, 1])
def test_a_collection_of_hauls_makes_all_their_datasets(
    adapter: str, repeat: int, hauls: dict[str, HaulConfig], tmp_path: Path
) -> None:
    with pipeline(repeat=repeat) as made:
        receipts = made | beam.Create(list(hauls.values())) | DealLots(2) | HaulLots(adapter)  # type: ignore[arg-type]
        assert_that(receipts | beam.Map(lambda r: (r.dataset, r.run, r.shard)), equal_to(due(hauls)))
    for name in NAMES:
        records = committed(tmp_path / name / "job.yaml")
        assert sorted(records) == list(range(SHARDS[name]))
        assert {path.name for path in (tmp_path / name / "out" / "data" / "0000").iterdir()}
    assert threads() == []


def test_the_same_haul_twice_is_hauled_once_and_told_twice(hauls: dict[str, HaulConfig]) -> None:
    with pipeline() as made:
        receipts = made | beam.Create([hauls["north"], hauls["north"]]) | DealLots() | HaulLots("lots")
        assert_that(receipts | beam.Map(lambda r: r.shard), equal_to(sorted([*range(3), *range(3)])))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_receipts_and_summaries_stay_in_the_windows_of_their_hauls(
    adapter: str, hauls: dict[str, HaulConfig], tmp_path: Path
) -> None:
    with pipeline() as made:
        at = {hauls[name].run: second for second, name in AT}
        come = made | "Hauls" >> beam.Create(list(hauls.values()))
        in_windows(come | beam.Map(stamped, at).with_output_types(HaulConfig), adapter, hauls)
    check(tmp_path)


def test_a_stream_of_hauls_is_hauled_as_they_come(hauls: dict[str, HaulConfig], tmp_path: Path) -> None:
    """On the only local runner that streams, which splits nothing."""
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    stream = test_stream.TestStream(coder=registry.get_coder(HaulConfig)).advance_watermark_to(0)
    for second, name in AT:
        stream = stream.advance_watermark_to(second).add_elements([hauls[name]])
    with beam.Pipeline(runner="BundleBasedDirectRunner", options=options) as made:
        come = made | stream.advance_watermark_to_infinity() | beam.Map(itself).with_output_types(HaulConfig)
        in_windows(come, "lots", hauls)
    check(tmp_path)


AT = tuple(zip((1, 12), NAMES, strict=True))


def stamped(config: HaulConfig, at: dict[str, int]) -> TimestampedValue:
    return TimestampedValue(config, at[config.run])


def itself(config: HaulConfig) -> HaulConfig:
    return config


def in_windows(come: Any, adapter: Any, hauls: dict[str, HaulConfig]) -> None:
    """Each haul in a window of its own: its receipts and its summary, too."""
    result = haul_all(come | beam.WindowInto(FixedWindows(10)), None, adapter)
    seen = result.shards | "See" >> beam.Map(windowed)
    windows = {hauls["north"].dataset: IntervalWindow(0, 10), hauls["south"].dataset: IntervalWindow(10, 20)}
    places = [(windows[dataset], shard) for dataset, _, shard in due(hauls)]
    assert_that(seen | "All" >> beam.WindowInto(GlobalWindows()), equal_to(places))
    sums = result.summary | "Sums" >> beam.Map(lambda s: (s.dataset, s.shards, s.complete))
    whole = [(hauls[name].dataset, SHARDS[name], True) for name in NAMES]
    assert_that(sums | "All sums" >> beam.WindowInto(GlobalWindows()), equal_to(whole), "sums")


def check(folder: Path) -> None:
    for name in NAMES:
        assert len(committed(folder / name / "job.yaml")) == SHARDS[name]
    assert threads() == []


def windowed(receipt: object, window: object = beam.DoFn.WindowParam) -> tuple[object, int]:
    return window, receipt.shard  # type: ignore[attr-defined]
