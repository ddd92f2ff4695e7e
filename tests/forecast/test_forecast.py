"""Forecasts of whole jobs: what of a plan counts, contacts by the calendar, links that nobody described."""

from __future__ import annotations

import itertools
import math
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.dataset.many_commits import record_of
from tests.planning.planned import Listing, job_for, pinned, plan_into

from skyhaul.dataset.storage.opening import open_store
from skyhaul.forecast.forecast import forecast
from skyhaul.forecast.outlook import Outlook, Quantiles
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.links.contract.ledger import Ledger
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanMismatch, UsageError

MB = 1_000_000
NOON = 1_800_000_000.0

BLOBS = "schema: blob\n"
SKY = "links: {sky: {down: 80Mbit/s, rtt: 50ms}}"


def foresee(
    folder: Path, count: int, size: int, links: str, *, committed: int = 0, seeds: int = 5, **more: str
) -> Outlook:
    """A plan of `count` objects in binary, of which the first shards are committed."""
    loaded = job_for(folder, format="binary", top=BLOBS + links, source="via: [sky]", **more)
    objects = [pinned("s", f"{n:06d}", size) for n in range(count)]
    plan_into(folder, loaded, {"s": Listing("s", objects)})
    with (
        closing(open_store(str(folder / "dataset"), writable=False)) as store,
        closing(Plan.open(store)) as plan,
    ):
        for shard in itertools.islice(plan.shards(), committed):
            path = folder / "dataset" / layout.commit_file(shard.number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(record_of(shard).to_line())
    with closing(open_store(str(folder / "dataset"), writable=False)) as store:
        return forecast(loaded, store, start=NOON, seeds=seeds)


def test_a_steady_link_takes_its_bytes_over_its_rate(tmp_path: Path) -> None:
    outlook = foresee(tmp_path, 500, 10 * MB, SKY)
    assert outlook.bytes == 5_000 * MB
    assert 500 <= outlook.seconds.p50 <= 560
    assert outlook.limits[0][0] == "link rate"
    assert outlook.links[0].payload == pytest.approx(5_000 * MB)
    assert outlook.planned
    assert outlook.exit_code() == 0


def test_committed_shards_do_not_count(tmp_path: Path) -> None:
    shards = {"shards": "target_size: 100MB"}
    whole = foresee(tmp_path / "a", 100, 10 * MB, SKY, **shards)
    rest = foresee(tmp_path / "b", 100, 10 * MB, SKY, committed=whole.shards // 2, **shards)
    assert rest.shards == whole.shards - whole.shards // 2
    assert rest.bytes < 0.7 * whole.bytes
    assert rest.seconds.p50 < 0.7 * whole.seconds.p50
    done = foresee(tmp_path / "c", 100, 10 * MB, SKY, committed=whole.shards, **shards)
    assert done.sources == ()
    assert done.seconds == Quantiles(0.0, 0.0, 0.0)


def test_one_terabyte_in_a_hundred_thousand_objects_in_seconds(tmp_path: Path) -> None:
    loaded = job_for(
        tmp_path, format="binary", top=BLOBS + "links: {sky: {preset: leo}}", source="via: [sky]"
    )
    objects = [pinned("s", f"{n:06d}", 10 * MB) for n in range(100_000)]
    plan_into(tmp_path, loaded, {"s": Listing("s", objects)})
    begun, used = time.monotonic(), time.process_time()
    with closing(open_store(str(tmp_path / "dataset"), writable=False)) as store:
        outlook = forecast(loaded, store, start=NOON)
    spent = time.process_time() - used
    print(f"{spent:.1f} s of CPU, {time.monotonic() - begun:.1f} s")
    assert outlook.seeds == 100
    assert outlook.bytes == 10**12
    limit = 8e12 / (130e6 * 1448 / 1500)
    assert limit <= outlook.seconds.p10 <= outlook.seconds.p50 <= outlook.seconds.p90 <= 1.05 * limit
    assert spent < 10


def test_few_connections_over_a_long_link_are_told_what_would_help(tmp_path: Path) -> None:
    geo = "links: {sky: {preset: geo}}"
    loaded = job_for(tmp_path, format="binary", top=BLOBS + geo, source="via: [sky]\nmax_connections: 2")
    plan_into(tmp_path, loaded, {"s": Listing("s", [pinned("s", f"{n}", 1 * MB) for n in range(100)])})
    with closing(open_store(str(tmp_path / "dataset"), writable=False)) as store:
        outlook = forecast(loaded, store, start=NOON, seeds=5)
    source = outlook.sources[0]
    assert source.limits[0][0] == "max_connections"
    assert "instead of 2 (`sources.s.max_connections`)" in source.hint


def contacts(folder: Path, rows: str) -> str:
    (folder / "passes.csv").write_text("start,end\n" + rows)
    return f"links: {{sky: {{down: 80Mbit/s, rtt: 50ms, contacts: {folder}/passes.csv}}}}"


def test_contacts_by_the_calendar_give_dates(tmp_path: Path) -> None:
    # Three passes of ten minutes, from 2027-01-15T09:00Z on, an hour apart.
    rows = "".join(f"2027-01-15T{hour:02d}:00:00Z,2027-01-15T{hour:02d}:10:00Z\n" for hour in (9, 10, 11))
    outlook = foresee(tmp_path, 1300, 10 * MB, contacts(tmp_path, rows))
    assert outlook.dated
    done = outlook.date(outlook.seconds.p50)
    assert done is not None
    assert done.isoformat().startswith("2027-01-15T11:0")
    assert outlook.limits[0][0] == "contacts"


def test_a_plan_that_the_contacts_do_not_suffice_for_is_never_done(tmp_path: Path) -> None:
    outlook = foresee(tmp_path, 1300, 10 * MB, contacts(tmp_path, "0,600\n"))
    assert math.isinf(outlook.seconds.p50)
    assert outlook.exit_code() == 75
    assert outlook.unfinished == 1.0
    assert 6.5e9 < outlook.bytes_left < 7.5e9
    assert outlook.to_json()["seconds"]["p50"] is None


def test_a_link_of_which_nothing_is_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="link sky: nothing says how fast it is; give `down`"):
        foresee(tmp_path, 10, MB, "links: {sky: {rtt: 50ms}}")


def test_a_job_without_links_is_refused(tmp_path: Path) -> None:
    loaded = job_for(tmp_path, format="binary", top=BLOBS)
    with pytest.raises(UsageError, match="no source goes over a link"):
        forecast(loaded, open_store(str(tmp_path / "dataset"), writable=False), start=NOON)


def test_a_job_that_differs_from_its_plan_is_refused(tmp_path: Path) -> None:
    foresee(tmp_path, 10, MB, SKY)
    other = job_for(tmp_path, format="binary", top=f"{BLOBS}seed: 9\n{SKY}", source="via: [sky]")
    with (
        closing(open_store(str(tmp_path / "dataset"), writable=False)) as store,
        pytest.raises(PlanMismatch),
    ):
        forecast(other, store, start=NOON)


def test_without_a_plan_the_sources_are_listed_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    for number in range(20):
        (tmp_path / "s" / f"{number}").write_bytes(bytes(100_000))
    loaded = job_for(tmp_path, format="binary", top=BLOBS + SKY, source="via: [sky]")
    with closing(open_store(str(tmp_path / "dataset"), writable=False)) as store:
        outlook = forecast(loaded, store, start=NOON, seeds=5)
    assert not outlook.planned
    assert outlook.bytes == 2 * MB
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s"]


def test_equal_seeds_give_equal_forecasts(tmp_path: Path) -> None:
    mobile = "links: {sky: {preset: leo-mobile}}"
    first = foresee(tmp_path / "a", 100, 10 * MB, mobile, seeds=20)
    again = foresee(tmp_path / "b", 100, 10 * MB, mobile, seeds=20)
    assert again.seconds == first.seconds
    assert first.seconds.p10 < first.seconds.p50 < first.seconds.p90


def test_quantiles_are_of_those_that_came_out() -> None:
    assert Quantiles.of(range(1, 101)) == Quantiles(10, 50, 90)
    assert Quantiles.of([3.0]) == Quantiles(3.0, 3.0, 3.0)
    assert Quantiles.of([1.0, math.inf]) == Quantiles(1.0, 1.0, math.inf)


def test_caps_prices_and_the_ledger_count(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.sqlite"
    links = (
        f"ledger: {ledger}\n"
        "links: {sky: {down: 80Mbit/s, rtt: 50ms, cap: 4GB/day, price: 0.5 USD/GB, account: dish}}"
    )
    # NOON is 2027-01-15T08:00Z: 16 hours until the next cycle.
    fresh = foresee(tmp_path / "a", 490, 10 * MB, links)
    assert fresh.seconds.p50 == pytest.approx(16 * 3600 + 97, abs=20)
    assert fresh.limits[0][0] == "cap"
    assert fresh.links[0].price == pytest.approx(2.45, rel=0.03)
    assert fresh.links[0].currency == "USD"
    with closing(Ledger(ledger)) as book:
        book.settle("dish", "2027-01-15", counted=3_000 * MB, free=0, want=0, cap=None)
    used = foresee(tmp_path / "b", 490, 10 * MB, links)
    assert used.seconds.p50 == pytest.approx(16 * 3600 + 405, abs=30)


def test_a_deadline_is_met_in_some_share_of_the_seeds(tmp_path: Path) -> None:
    late = foresee(tmp_path / "a", 100, 10 * MB, f"deadline: 60s\n{SKY}")
    assert (late.deadline, late.in_time) == (60.0, 0.0)
    due = foresee(tmp_path / "b", 100, 10 * MB, f'deadline: "2027-01-15T08:03Z"\n{SKY}')
    assert (due.deadline, due.in_time) == (180.0, 1.0)
    assert due.to_json()["deadline"] == "2027-01-15T08:03:00Z"
