"""The ledger counts across processes and kills: never too low, never beyond the cap."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyhaul_connectors.links.contract.ledger import Ledger, Used, default_ledger
from skyhaul_schemas.errors import StorageError

from .ledger_process import STEP

PROGRAM = Path(__file__).with_name("ledger_process.py")
CYCLE = "2026-11-01"


def start(ledger: Path, cap: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(ledger), str(cap)], stdout=subprocess.PIPE, text=True
    )


def last_number(process: subprocess.Popen[str], *, kill_after: int | None = None) -> int:
    """What the process says last that it took; killed once it has said so `kill_after` times."""
    # Not communicate(): it would pass over what the stream has read ahead.
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if len(lines) == kill_after:
            process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait(timeout=60)
    whole = [line for line in lines if line.endswith("\n")]
    return int(whole[-1]) if whole else 0


@pytest.mark.parametrize("seed", range(5))
def test_a_killed_process_is_counted_with_all_that_it_took(tmp_path: Path, seed: int) -> None:
    lines = random.Random(seed).randrange(1, 400)
    took = last_number(start(tmp_path / "l", 0), kill_after=lines)
    assert took >= lines * STEP
    ledger = Ledger(tmp_path / "l")
    used = ledger.used("sat", CYCLE)
    assert took <= used.counted <= took + 6 * STEP, "what was leased counts as spent"
    assert used.leased == 0
    ledger.settle("sat", CYCLE, counted=0, free=0, want=0, cap=None)
    assert ledger.used("sat", CYCLE) == used, "burying the dead changes no sum"
    ledger.close()
    assert sorted(p.name for p in tmp_path.glob("l-holder-*")) == []


def test_a_new_ledger_is_opened_by_several_at_once(tmp_path: Path) -> None:
    """SQLite refuses all but one while that one goes over to WAL: seen in one round of ten."""
    for number in range(40):
        path, start_all = tmp_path / f"{number}", threading.Barrier(6)

        def opened(path: Path = path, start_all: threading.Barrier = start_all) -> None:
            start_all.wait()
            Ledger(path).close()

        with ThreadPoolExecutor(6) as pool:
            for done in [pool.submit(opened) for _ in range(6)]:
                done.result()


def test_processes_side_by_side_stay_below_the_cap_and_use_it_up(tmp_path: Path) -> None:
    cap = 200 * STEP
    processes = [start(tmp_path / "l", cap) for _ in range(4)]
    taken = [last_number(process) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert cap - 4 * STEP <= sum(taken) <= cap
    ledger = Ledger(tmp_path / "l")
    assert ledger.used("sat", CYCLE) == Used(counted=sum(taken))
    ledger.close()


def test_the_killed_and_the_living_together_never_pass_the_cap(tmp_path: Path) -> None:
    cap = 300 * STEP
    doomed = [start(tmp_path / "l", cap) for _ in range(2)]
    taken = [last_number(process, kill_after=20) for process in doomed]
    taken.append(last_number(start(tmp_path / "l", cap)))
    assert sum(taken) <= cap
    ledger = Ledger(tmp_path / "l")
    assert sum(taken) <= ledger.used("sat", CYCLE).counted <= cap
    ledger.close()


def test_a_lease_comes_from_what_is_left_and_goes_back(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path / "l"), Ledger(tmp_path / "l")
    first = one.settle("sat", CYCLE, counted=0, free=0, want=70, cap=100)
    assert (first.bytes, first.last) == (70, False)
    second = two.settle("sat", CYCLE, counted=0, free=0, want=70, cap=100)
    assert (second.bytes, second.last) == (30, True)
    one.settle("sat", CYCLE, counted=20, free=5, want=0, cap=100)
    assert two.used("sat", CYCLE) == Used(counted=20, free=5, leased=30)
    assert two.settle("sat", CYCLE, counted=30, free=0, want=70, cap=100).bytes == 50
    one.close()
    two.close()
    assert Ledger(tmp_path / "l").used("sat", CYCLE) == Used(counted=50, free=5)


def test_bytes_belong_to_the_cycle_in_which_they_were_leased(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l")
    ledger.settle("sat", "2026-10-01", counted=0, free=0, want=100, cap=100)
    assert ledger.settle("sat", CYCLE, counted=80, free=0, want=100, cap=100).bytes == 100
    assert ledger.used("sat", "2026-10-01") == Used(counted=80)
    assert ledger.used("sat", CYCLE) == Used(leased=100)
    ledger.close()


def test_one_that_was_taken_for_dead_is_not_counted_twice(tmp_path: Path) -> None:
    """Its lock is gone (removed by hand, a container's own /tmp), but it goes on."""
    ledger = Ledger(tmp_path / "l")
    ledger.settle("sat", CYCLE, counted=0, free=0, want=100, cap=None)
    for lock in tmp_path.glob("l-holder-*"):
        lock.unlink()
    other = Ledger(tmp_path / "l")
    other.settle("sat", CYCLE, counted=0, free=0, want=0, cap=None)
    assert other.used("sat", CYCLE).counted == 100
    ledger.settle("sat", CYCLE, counted=60, free=0, want=0, cap=None)
    assert other.used("sat", CYCLE).counted == 100
    ledger.settle("sat", CYCLE, counted=30, free=0, want=0, cap=None)
    assert other.used("sat", CYCLE).counted == 130
    ledger.close()
    other.close()


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 500), st.integers(0, 400)), max_size=30))
def test_what_two_take_within_their_leases_never_passes_the_cap(moves: list[tuple[int, int, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        ledgers = [Ledger(Path(folder) / "l") for _ in range(2)]
        leases = [0, 0]
        total = 0
        for who, want, taken in moves:
            taken = min(taken, leases[who])
            total += taken
            leases[who] = ledgers[who].settle("sat", CYCLE, counted=taken, free=0, want=want, cap=1000).bytes
            used = ledgers[0].used("sat", CYCLE)
            assert used.counted == total
            assert used.leased == sum(leases)
            assert used.counted + used.leased <= 1000
        for ledger in ledgers:
            ledger.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, None])
def test_a_ledger_that_is_none_is_said_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "l"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(StorageError, match="name another file with the job's `ledger`") as caught:
        Ledger(path)
    assert str(path) in str(caught.value)


def test_the_default_follows_the_base_directory_specification() -> None:
    home = Path("/home/u")
    assert default_ledger("/state", home) == Path("/state/skyhaul/links.sqlite")
    for unset in (None, "", "relative/path"):
        assert default_ledger(unset, home) == Path("/home/u/.local/state/skyhaul/links.sqlite")
