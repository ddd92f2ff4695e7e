"""Worker processes that share a link pull from a real server: by Redis, and by leases in the dataset's store.

The long ones are slow; CI runs them with `-m slow tests/links/sharing/test_shared_link.py`.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from links.sharing.redis_server import RedisServer, sharing
from links.sharing.share_worker import ENTRY, SHARD
from skyhaul_connectors.links.sharing.redis_slots import RedisSlots
from skyhaul_schemas.errors import ConnectFailed, UsageError

RATE = 100e6
HEADERS = 1500 / 1448
"""What a byte of a connection takes of the link, headers of its packets included."""

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The URL of a list of some objects on a real HTTP server."""
    region = folder / "region"
    region.mkdir()
    for number in range(4):
        (region / f"{number}.bin").write_bytes(bytes([number]) * (2 * SHARD))
    server = subprocess.Popen(
        [sys.executable, ROOT / "examples" / "serve_folder.py", region, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        match = re.search(r"http://\S+", server.stdout.readline())
        assert match is not None
        yield f"{match[0]}/objects.jsonl"
    finally:
        server.kill()
        server.communicate()


@contextmanager
def worker(
    url: str, way: str, folder: Path, number: int, epoch: float, *idle_at: float
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            sys.executable, "-m", "tests.links.sharing.share_worker", url, way, str(folder), str(number),
            str(epoch),
            "100Mbit/s", *map(str, idle_at),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def arrivals(folder: Path) -> list[tuple[float, float]]:
    """(second, bits on the link) of all that all workers read, in order."""
    found: list[tuple[float, float]] = []
    for log in folder.glob("*.log"):
        data = log.read_bytes()
        if log.stem.isdecimal():
            whole = data[: len(data) // ENTRY.size * ENTRY.size]
            found += [(at, count * 8 * HEADERS) for at, count in ENTRY.iter_unpack(whole)]
    return sorted(found)


def most_in_a_second(found: list[tuple[float, float]]) -> float:
    most = total = 0.0
    first = 0
    for at, bits in found:
        total += bits
        while found[first][0] <= at - 1.0:
            total -= found[first][1]
            first += 1
        most = max(most, total)
    return most


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("way", ["redis", "store"])
def test_four_workers_fill_the_link_and_never_pass_it(way: str, tmp_path: Path) -> None:
    """One goes idle after 20 s, another is killed after 40 s; 60 s in all."""
    with ExitStack() as stack:
        shared = stack.enter_context(sharing(way, tmp_path))
        url = stack.enter_context(serving(tmp_path))
        epoch = time.time() + 6
        workers = [
            stack.enter_context(worker(url, shared, tmp_path, n, epoch, *([20.0] if n == 2 else [])))
            for n in range(4)
        ]
        for process in workers:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        assert time.time() < epoch, "the machine is too busy for this measurement"
        time.sleep(epoch + 40 - time.time())
        workers[3].send_signal(signal.SIGKILL)
        time.sleep(epoch + 66 - time.time())
        assert [process.poll() for process in workers] == [None, None, None, -signal.SIGKILL]
    found = arrivals(tmp_path)
    begun = found[0][0]
    within = [(at, bits) for at, bits in found if at < begun + 60]
    most, mean = most_in_a_second(within), sum(bits for _, bits in within) / 60
    by_ten = [sum(b for at, b in within if t <= at - begun < t + 10) / 10 / RATE for t in range(0, 60, 10)]
    print(
        json.dumps(
            {
                "way": way,
                "most in a second": round(most / RATE, 4),
                "mean over 60 s": round(mean / RATE, 4),
                "by ten seconds": [round(share, 3) for share in by_ten],
            }
        )
    )
    assert most <= 1.02 * RATE
    assert mean >= 0.90 * RATE


@pytest.mark.timeout(90)
def test_workers_wait_for_a_redis_that_is_gone_and_go_on_when_it_is_back(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = RedisServer(tmp_path)
        stack.callback(server.kill)
        url = stack.enter_context(serving(tmp_path))
        epoch = time.time() + 2
        for number in range(2):
            process = stack.enter_context(worker(url, server.url, tmp_path, number, epoch))
            assert process.stdout is not None
            process.stdout.readline()
        _until_arrived(tmp_path, 20e6)
        server.kill()
        at_the_kill = sum(bits for _, bits in arrivals(tmp_path))
        before = _until_silent(tmp_path, 1.5)
        assert before - at_the_kill <= 0.7 * RATE, "no more than was granted"
        server.start()
        _until_arrived(tmp_path, before + 20e6)
    # A busy machine delivers late; what it may not do is to deliver much more than was granted.
    assert most_in_a_second(arrivals(tmp_path)) <= 1.3 * RATE


def _until_silent(folder: Path, seconds: float) -> float:
    """Bits that have arrived when none has for so long."""
    deadline = time.monotonic() + 20
    while True:
        before = sum(bits for _, bits in arrivals(folder))
        time.sleep(seconds)
        if sum(bits for _, bits in arrivals(folder)) == before:
            return before
        assert time.monotonic() < deadline, "it never stopped"


def _until_arrived(folder: Path, bits: float) -> None:
    deadline = time.monotonic() + 30
    while sum(count for _, count in arrivals(folder)) < bits:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_slots_follow_one_another_whoever_asks(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, password="canary-7f3a")
    try:
        books = [RedisSlots("dish", server.url) for _ in range(3)]
        ends = 0.0
        for turn in range(30):
            before = time.monotonic()
            slot = books[turn % 3].reserve(0.05, 4.0)
            after = time.monotonic()
            assert slot.granted
            assert after + slot.wait >= ends, "it begins when the one before is over"
            ends = before + slot.wait + 0.05 - 0.001
        refused = books[0].reserve(0.05, 1.0)
        assert not refused.granted
        assert 0.2 < refused.wait < 0.6
        assert RedisSlots("other", server.url).reserve(0.05, 1.0).wait < 0.01, "links are apart"
        wrong = RedisSlots("dish", server.url.replace("canary-7f3a", "canary-else"))
        with pytest.raises(ConnectFailed) as refusal:
            wrong.reserve(0.05, 1.0)
        assert "canary" not in str(refusal.value)
        for book in [*books, wrong]:
            book.close()
    finally:
        server.kill()


def test_a_url_that_is_none_is_refused_without_being_shown() -> None:
    pytest.importorskip("redis")
    with pytest.raises(UsageError, match="link dish") as refusal:
        RedisSlots("dish", "http://:canary@host")
    assert "canary" not in str(refusal.value)
