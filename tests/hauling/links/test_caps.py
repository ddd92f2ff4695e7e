"""Caps, roles, hours and rates, in whole hauls: over real servers and over emulated links."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from tests.hauling.rig import command, data_digests, skyhaul, write_job

from faults.hostile_http import HostileServer
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.verification import verify_dataset
from skyhaul_connectors.links.contract.ledger import Ledger, Used
from skyhaul_schemas.job.file import load_job

SIZE, COUNT = 500_000, 12
TOTAL = SIZE * COUNT
WIRE = 1500 / 1448


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("region")
    for number in range(COUNT):
        line = f"{number} " + "the quick brown fox jumps over the lazy dog " * 5 + "\n"
        (folder / f"{number}.txt").write_bytes((line * (SIZE // len(line) + 1)).encode()[:SIZE])
    return folder


def job(folder: Path, url: str, links: dict[str, dict[str, object]], **more: object) -> Path:
    content = {
        "version": 1,
        "name": "caps",
        "dataset": str(folder / "out"),
        "spool": str(folder / "spool"),
        "ledger": str(folder / "ledger.sqlite"),
        "sources": {"texts": {"url": f"{url}*.txt", "format": "text", "via": list(links)}},
        "links": links,
        "shards": {"target_size": "1MB"},
        "patience": "20s",
        **more,
    }
    return write_job(folder / "job.yaml", content)


def run(path: Path, **options: object) -> HaulOutcome:
    loaded = load_job(path, {})
    return haul_on_beam(
        loaded,
        open_store(loaded.job.dataset, writable=True),
        HaulOptions(**options),  # type: ignore[arg-type]  # its fields
    )


def by_link(outcome: HaulOutcome) -> dict[str, int]:
    return {link: counts.payload_bytes for link, counts in outcome.run.transfer.items()}


def used(folder: Path, account: str) -> Used:
    ledger = Ledger(folder / "ledger.sqlite")
    try:
        return ledger.used(account, f"{datetime.now(UTC):%Y-%m-01}")
    finally:
        ledger.close()


def sent(server: HostileServer) -> int:
    return sum(served.sent for served in server.ranges())


EMULATED = {"emulate": True, "down": "60Mbit/s", "up": "10Mbit/s", "rtt": "40ms"}


@pytest.mark.parametrize("emulated", [False, True])
def test_a_cap_ends_a_haul_and_holds_for_the_next(tmp_path: Path, region: Path, emulated: bool) -> None:
    cap = 2_500_000
    link: dict[str, object] = {"cap": f"{cap}/month", **(EMULATED if emulated else {})}
    account = "rehearsal of sat" if emulated else "sat"
    with HostileServer(region, rate=400_000) as server:
        path = job(tmp_path, server.url, {"sat": link})
        outcome = run(path)
        assert outcome.exit_code == 75
        (reason,) = [line for line in outcome.messages if line.startswith("CapSpent: ")]
        assert "link sat: its cap of 2500 kB/month is used up; the next cycle begins " in reason
        came = sent(server)
        counted = used(tmp_path, account)
        print(f"sent {came}, counted {counted}")
        assert counted.leased == 0
        assert came * 0.9 <= counted.counted <= cap, "the cap is never passed"
        assert cap - counted.counted <= 64 * 1024, "and used up"

        again = run(path)
        assert again.exit_code == 75
        assert sent(server) - came == 0, "not one range more"
        assert used(tmp_path, account) == counted

        content = yaml.safe_load(path.read_text())
        content["links"]["sat"]["cap"] = "1GB/month"
        write_job(path, content)
        assert run(path).exit_code == 0
        assert TOTAL <= sent(server) <= TOTAL + 3 * 65536, "what had come was kept"
    assert used(tmp_path, account).counted >= TOTAL
    assert verify_dataset(open_store(str(tmp_path / "out"), writable=False), deep=True).exit_code() == 0


def test_other_links_go_on_where_one_s_cap_is_used_up(tmp_path: Path, region: Path) -> None:
    with HostileServer(region, rate=100_000) as west, HostileServer(region, rate=100_000) as east:
        links: dict[str, dict[str, object]] = {
            "capped": {"cap": "1MB/month", "base_url": west.url},
            "open": {"base_url": east.url},
        }
        outcome = run(job(tmp_path, west.url, links))
        assert outcome.exit_code == 0
        assert 800_000 <= by_link(outcome)["capped"] <= 1_000_000
        assert sum(by_link(outcome).values()) == TOTAL
        assert used(tmp_path, "capped").counted <= 1_000_000


def test_free_hours_count_towards_no_cap(tmp_path: Path, region: Path) -> None:
    now = datetime.now(UTC)
    free = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    with HostileServer(region) as server:
        path = job(tmp_path, server.url, {"sat": {"cap": "1MB/month", "price": "2 USD/GB", "free": free}})
        assert run(path).exit_code == 0
    counted = used(tmp_path, "sat")
    assert counted.counted == 0
    assert TOTAL <= counted.free <= 1.1 * TOTAL


def test_outside_of_its_hours_a_link_is_closed(tmp_path: Path, region: Path) -> None:
    now = datetime.now(UTC)
    hours = f"{now + timedelta(hours=2):%H:%M}-{now + timedelta(hours=3):%H:%M}"
    with HostileServer(region) as server:
        outcome = run(job(tmp_path, server.url, {"sat": {"hours": hours}}))
        assert outcome.exit_code == 75
        assert any(f"{now + timedelta(hours=2):%H:%M} UTC" in line for line in outcome.messages)
        assert sent(server) == 0


def test_a_timetable_sets_the_pace(tmp_path: Path, region: Path) -> None:
    with HostileServer(region) as server:
        path = job(tmp_path, server.url, {"sat": {"rates": {"00:00-24:00": "16Mbit/s"}}})
        outcome = run(path)
        assert outcome.exit_code == 0
    assert outcome.run.seconds >= 0.9 * TOTAL * WIRE * 8 / 16e6


def test_a_last_resort_is_used_when_others_are_down_only(tmp_path: Path, region: Path) -> None:
    links: dict[str, dict[str, object]] = {"leo": {}, "gold": {"role": "last-resort", "price": "9/GB"}}
    with HostileServer(region) as west, HostileServer(region, rate=100_000) as east:
        links["leo"]["base_url"], links["gold"]["base_url"] = west.url, east.url
        outcome = run(job(tmp_path, west.url, links))
        assert outcome.exit_code == 0
        assert by_link(outcome) == {"leo": TOTAL}
        assert east.connections == 0

    with HostileServer(region) as east:
        other = tmp_path / "other"
        other.mkdir()
        links["leo"]["base_url"], links["gold"]["base_url"] = west.url, east.url  # west is gone
        started = time.monotonic()
        outcome = run(job(other, east.url, links))
        assert outcome.exit_code == 0
        assert by_link(outcome) == {"gold": TOTAL}
        assert time.monotonic() - started >= 9.0, "an outage of seconds is waited for"
        assert used(other, "gold").counted >= TOTAL


def test_a_last_resort_is_used_at_once_when_the_others_are_closed(tmp_path: Path, region: Path) -> None:
    with HostileServer(region) as server:
        links: dict[str, dict[str, object]] = {
            "leo": {"cap": "1MB/month"},
            "gold": {"role": "last-resort"},
        }
        outcome = run(job(tmp_path, server.url, links))
        assert outcome.exit_code == 0
        assert by_link(outcome)["leo"] <= 1_000_000
        assert sum(by_link(outcome).values()) == TOTAL


def test_overflow_helps_where_the_deadline_would_be_missed(tmp_path: Path, region: Path) -> None:
    links: dict[str, dict[str, object]] = {
        "leo": {"down": "8Mbit/s"},
        "geo": {"role": "overflow", "down": "40Mbit/s"},
    }
    with HostileServer(region) as server:
        assert by_link(run(job(tmp_path, server.url, links), deadline=60.0)) == {"leo": TOTAL}
        hasty = tmp_path / "hasty"
        hasty.mkdir()
        outcome = run(job(hasty, server.url, links, deadline="3s"))
        assert outcome.exit_code == 0
        assert by_link(outcome)["geo"] > by_link(outcome)["leo"] > 0


def test_a_killed_haul_is_counted(tmp_path: Path, region: Path) -> None:
    with HostileServer(region, rate=40_000, send_buffer=8192) as server:
        path = job(tmp_path, server.url, {"sat": {"cap": "100MB/month"}})
        process = subprocess.Popen(
            [command(), "run", "--quiet", str(path)], cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        try:
            until = time.monotonic() + 60
            while sent(server) < 1_500_000:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        came = sent(server)
        counted = used(tmp_path, "sat").counted
        print(f"sent {came} when killed, counted {counted}")
        assert counted >= came - 16 * 64 * 1024, "at most what was in flight is missing"
        assert counted <= came + 6 * 1024 * 1024, "and a lease too much"
        assert skyhaul("run", "--quiet", path, cwd=tmp_path).returncode == 0


def test_roles_and_terms_are_no_part_of_the_dataset(tmp_path: Path, region: Path) -> None:
    with HostileServer(region) as server:
        assert run(job(tmp_path, server.url, {"sat": {}})).exit_code == 0
        digests = data_digests(tmp_path / "out")
        terms: dict[str, object] = {
            "cap": "1GB/month",
            "price": 1,
            "role": "last-resort",
            "rates": {"00:00-24:00": "1Gbit/s"},
        }
        assert run(job(tmp_path, server.url, {"sat": terms}, deadline="1h")).exit_code == 0
        other = tmp_path / "other"
        other.mkdir()
        assert run(job(other, server.url, {"sat": terms})).exit_code == 0
    assert data_digests(other / "out") == digests


def test_a_ledger_that_cannot_be_written_is_said_in_one_line(tmp_path: Path, region: Path) -> None:
    with HostileServer(region) as server:
        path = job(tmp_path, server.url, {"sat": {"cap": "1GB/month"}}, ledger=str(region / "0.txt" / "l"))
        done = skyhaul("run", "--quiet", path, cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines() or [""]
    assert "the ledger" in line
    assert "name another file with the job's `ledger`" in line


def test_the_run_record_says_why(tmp_path: Path, region: Path) -> None:
    with HostileServer(region) as server:
        path = job(tmp_path, server.url, {"sat": {"cap": "0/month"}})
        done = skyhaul("run", "--json", path, cwd=tmp_path)
    assert done.returncode == 75
    said = json.loads(done.stdout)
    assert set(said["deferred_because"]) == {"CapSpent"}
