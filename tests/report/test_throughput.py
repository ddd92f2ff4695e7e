"""The pace that a watched dataset shows: of the last ten minutes, and what it says of the rest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.report.snapshots import survey_of

from skyhaul.dataset.survey import SourceSurvey
from skyhaul.report.throughput import WINDOW, Throughput, ThroughputMeter


def test_the_first_look_tells_no_pace() -> None:
    assert ThroughputMeter().look(5.0, survey_of(source_bytes=100)) is None


def test_bytes_over_time_tell_how_long_the_rest_takes() -> None:
    meter = ThroughputMeter()
    meter.look(0.0, survey_of(source_bytes=1000, source_bytes_committed=100))
    throughput = meter.look(10.0, survey_of(source_bytes=1000, source_bytes_committed=300))
    assert throughput is not None
    assert throughput == Throughput(200, 10.0, 700)
    assert throughput.seconds_left == pytest.approx(35.0)
    assert str(throughput) == "20 B/s over the last 10.0s, about 35.0s left"


def test_nothing_gained_says_so_and_nothing_left_is_no_time() -> None:
    assert str(Throughput(0, 60.0, 5)) == "nothing committed over the last 1m00s"
    assert Throughput(0, 60.0, 5).to_json()["seconds_left"] is None
    assert Throughput(0, 60.0, 0).seconds_left == 0.0


def test_what_failed_for_good_is_not_waited_for() -> None:
    meter = ThroughputMeter()
    seen = survey_of(source_bytes=1000, source_bytes_committed=100)
    part = replace(next(iter(seen.by_source.values())), source_bytes_failed=400)
    failed = replace(seen, by_source={"s": part})
    meter.look(0.0, failed)
    throughput = meter.look(1.0, failed)
    assert throughput is not None
    assert throughput.left == 500


def at_pace(looks: list[tuple[float, int]]) -> Throughput | None:
    meter = ThroughputMeter()
    throughput = None
    for now, committed in looks:
        throughput = meter.look(now, survey_of(source_bytes=1000, source_bytes_committed=committed))
    return throughput


def test_a_haul_that_had_to_start_is_not_slow_for_it() -> None:
    waited = [(0.0, 0), (30.0, 0), (60.0, 100)]
    assert at_pace(waited) == Throughput(100, 60.0, 900)
    assert at_pace([*waited, (61.0, 100)]) == Throughput(100, 61.0, 900)
    assert at_pace([*waited, (61.0, 100), (70.0, 200)]) == Throughput(100, 10.0, 800)


def test_the_pace_is_that_of_the_last_ten_minutes() -> None:
    hasty = [(float(second), 50 * second) for second in range(10)]
    looks = [*hasty, *((10.0 + second, 450) for second in range(0, 590, 10))]
    assert at_pace(looks) == Throughput(400, 589.0, 550)
    assert at_pace([*looks, (10.0 + WINDOW, 460)]) == Throughput(10, 600.0, 540)


def test_a_source_of_which_nothing_is_committed_is_named_and_not_reckoned_by_the_others_pace() -> None:
    meter = ThroughputMeter()
    throughput = None
    for second in range(0, 200, 10):
        going = SourceSurvey(shards=9, source_bytes=9000, source_bytes_committed=10 * second)
        stuck = SourceSurvey(shards=2, source_bytes=1000)
        seen = survey_of(source_bytes=10_000, source_bytes_committed=10 * second)
        throughput = meter.look(float(second), replace(seen, by_source={"good": going, "slow": stuck}))
        if second < 60:
            assert throughput is None or not throughput.stuck
    assert throughput is not None
    assert (throughput.stuck, throughput.stuck_left) == (("slow",), 1000)
    assert throughput.seconds_left is None
    assert throughput.to_json()["stuck"] == ["slow"]
    assert "nothing of slow; about" in str(throughput)
    assert str(throughput).endswith("left without")
