"""`skyhaul links`: what links have carried and cost, and a rate that is set while a haul runs."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.jobs import write_job
from cli.program import Answer, call, start
from faults.hostile_http import HostileServer
from skyhaul_connectors.links.contract.ledger import Ledger

SIZE = 200_000


@pytest.fixture(scope="module")
def server() -> Iterator[HostileServer]:
    line = b"the quick brown fox jumps over the lazy dog\n"
    body = (line * (SIZE // len(line) + 1))[:SIZE]
    with HostileServer({f"{n:03d}.txt": body for n in range(60)}) as server:
        yield server


def job(folder: Path, server: HostileServer, **link: object) -> Path:
    source = {"url": f"{server.url}*.txt", "format": "text", "via": "leo"}
    return write_job(
        folder,
        sources={"texts": source},
        links={"leo": link, "unused": {"price": 3}},
        ledger=str(folder / "ledger.sqlite"),
        shards={"target_size": "400kB"},
    )


def shown(path: Path, *args: str) -> dict[str, object]:
    answer = call("links", "--json", path, *args)
    assert answer.code == 0, answer.err
    (link,) = json.loads(answer.out)
    return dict(link)


@contextlib.contextmanager
def hauling(path: Path, server: HostileServer) -> Iterator[None]:
    """A haul that has begun, until it is told to stop."""
    before = len(server.ranges())
    with start("run", "--quiet", path) as process:
        try:
            until = time.monotonic() + 60
            while len(server.ranges()) < before + 4:
                assert process.poll() is None, process.communicate()
                assert time.monotonic() < until
                time.sleep(0.02)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=30)


class Meter:
    """Bytes that the server sends, over time."""

    def __init__(self, server: HostileServer) -> None:
        self._server = server
        self._over = threading.Event()
        self.seen: list[tuple[float, int]] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.seen.append((time.monotonic(), sum(s.sent for s in self._server.ranges())))

    def rate(self, start: float, stop: float) -> float:
        """bit/s between two moments of the monotonic clock."""
        inside = [(at, count) for at, count in self.seen if start <= at <= stop]
        (a, low), (b, high) = inside[0], inside[-1]
        return (high - low) * 8 / (b - a)

    def close(self) -> None:
        self._over.set()


def test_use_and_price_are_those_of_all_hauls_in_the_cycle(tmp_path: Path, server: HostileServer) -> None:
    path = job(tmp_path, server, price="0.5 USD/GB", included="4MB", cap="1GB/month", role="last-resort")
    fresh = shown(path)
    assert (fresh["state"], fresh["counted_bytes"], fresh["cost"]) == ("idle", 0, 0)
    assert not (tmp_path / "ledger.sqlite").exists(), "to look writes nothing"
    assert call("run", "--quiet", path).code == 0
    link = shown(path)
    counted = link["counted_bytes"]
    assert isinstance(counted, int)
    assert 60 * SIZE <= counted <= 1.15 * 60 * SIZE
    assert link["cost"] == pytest.approx((counted - 4_000_000) / 1e9 * 0.5)
    assert (link["cap_bytes"], link["left_bytes"], link["leased_bytes"]) == (10**9, 10**9 - counted, 0)
    assert str(link["cycle_end"]).endswith("-01T00:00:00Z")
    text = call("links", path).out
    assert "last-resort" in text
    assert "0.00 USD" in text
    assert "unused" not in text, "no source goes over it"


def test_a_link_whose_cap_is_used_up_says_when_it_opens(tmp_path: Path, server: HostileServer) -> None:
    path = job(tmp_path, server, cap="1MB/month")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    cycle = str(shown(path)["cycle_start"])[:10]
    ledger.settle("leo", cycle, counted=1_000_000, free=0, want=0, cap=None)
    ledger.close()
    link = shown(path)
    assert link["state"] == "closed"
    assert link["until"] == link["cycle_end"]
    assert "its cap of 1 MB/month is used up until" in call("links", path).out


@pytest.mark.parametrize(
    ("link", "said"),
    [
        ({"hours": "03:00-03:01"}, "its hours are over until"),
        ({"contacts": "CONTACTS"}, "counted from the start of the next haul"),
    ],
)
def test_what_is_known_of_a_link_that_no_haul_uses(
    tmp_path: Path, server: HostileServer, link: dict[str, object], said: str
) -> None:
    if "contacts" in link:
        plan = tmp_path / "passes.csv"
        plan.write_text("start,end\n10m,20m\n")
        link = {"contacts": str(plan)}
    assert said in call("links", job(tmp_path, server, **link)).out


def test_a_rate_that_is_set_holds_within_a_second_until_the_haul_ends(
    tmp_path: Path, server: HostileServer
) -> None:
    path = job(tmp_path, server, down="4Mbit/s")
    meter = Meter(server)
    try:
        with hauling(path, server):
            time.sleep(2.0)
            begun = time.monotonic()
            assert meter.rate(begun - 1.5, begun) == pytest.approx(4e6, rel=0.4)
            running = shown(path)
            assert running["state"] == "up"
            assert running["rate"] == 4e6

            assert shown(path, "--set", "leo.down=16Mbit/s")["set_to"] == 16e6
            faster = time.monotonic()
            time.sleep(2.5)
            assert meter.rate(faster + 1, faster + 2.5) == pytest.approx(16e6, rel=0.4)

            assert call("links", path, "--set", "leo.down=2Mbit/s").code == 0
            slower = time.monotonic()
            time.sleep(3.0)
            assert meter.rate(slower + 1, slower + 3) < 4e6

            assert "off (set)" in call("links", path, "--set", "leo.down=off").out
            off = time.monotonic()
            time.sleep(2.0)
            assert meter.rate(off + 1, off + 2) == 0
    finally:
        meter.close()
    assert shown(path)["set_to"] is None, "it ended with the haul"
    assert not list(tmp_path.rglob("rates.json"))


def refused(answer: Answer) -> str:
    assert answer.code == 2
    (line,) = answer.err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("leo.down=20Mbit/s", "none of this job runs on this machine"),
        ("leo.down=fast", "allowed: a number above zero with bit/s"),
        ("geo.down=1Mbit/s", "there are: leo"),
        ("leo.up=1Mbit/s", "write NAME.down=RATE"),
        ("leo", "write NAME.down=RATE"),
    ],
)
def test_what_cannot_be_set_is_said_in_one_line(
    tmp_path: Path, server: HostileServer, wish: str, said: str
) -> None:
    assert said in refused(call("links", job(tmp_path, server), "--set", wish))


def test_a_job_without_links_says_so(tmp_path: Path) -> None:
    assert "no source goes over a link" in call("links", write_job(tmp_path)).out
