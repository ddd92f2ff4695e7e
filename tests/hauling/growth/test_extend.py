"""What is new at the sources becomes further shards; nothing committed is touched. Whole hauls."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.hostile_http import HostileServer
from tests.hauling.living import Living

from skyhaul.dataset.storage.files import LocalFiles, Step
from skyhaul.dataset.storage.opening import open_store
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout


@pytest.fixture
def living(tmp_path: Path) -> Living:
    made = Living(tmp_path)
    made.write(range(6))
    return made


def test_new_objects_become_further_shards_and_committed_ones_stay(living: Living) -> None:
    assert living.run().exit_code == 0
    before = living.files()
    shards = living.header().shards
    living.write(range(6, 10))
    update = living.extend()
    assert (update.generation, update.counts) == (1, {"new planned": 4})
    assert update.shards > 0
    assert update.header.shards == shards + update.shards
    assert living.status().exit_code() == 75
    assert living.run().exit_code == 0
    after = living.files()
    assert {path: after[path] for path in before} == before, "the committed files are as they were"
    assert living.texts() == {f"{n}.txt" for n in range(10)}
    report = living.verify()
    assert report.findings == []
    assert report.exit_code() == 0
    assert report.objects == 10


@pytest.mark.parametrize("how", ["extend", "amend"])
def test_a_certificate_is_of_the_plan_as_it_was_and_goes(living: Living, how: str) -> None:
    if how == "extend":
        assert living.run().exit_code == 0
        living.write(range(6, 7))
    else:
        living.plan()
        living.write(range(1), "changed ")
    certificate = living.dataset / layout.CERTIFICATE
    certificate.write_text("{}")
    getattr(living, how)()
    assert not certificate.exists()


def test_a_second_extension_goes_on_and_a_third_with_nothing_new_writes_nothing(living: Living) -> None:
    living.run()
    for count in (8, 11):
        living.write(range(count - 2, count))
        living.extend()
    assert living.run().exit_code == 0
    assert living.texts() == {f"{n}.txt" for n in [*range(8), 9, 10]}
    before = sorted(living.dataset.rglob("*"))
    update = living.extend()
    assert (update.generation, update.shards, update.counts) == (None, 0, {})
    assert sorted(living.dataset.rglob("*")) == before
    assert living.verify().exit_code() == 0


def test_an_extension_before_the_haul_and_one_after_give_the_same_files(tmp_path: Path) -> None:
    def dataset(name: str, *, hauled_between: bool) -> dict[str, str]:
        living = Living(tmp_path, name)
        living.write(range(6))
        living.plan()
        if hauled_between:
            living.run()
        living.write(range(6, 9))
        living.extend()
        assert living.run().exit_code == 0
        found = living.files()
        living.clear_region()
        return found

    early, late = dataset("early", hauled_between=False), dataset("late", hauled_between=True)
    assert len(early) > 3
    assert early == late


def test_what_changed_or_vanished_is_told_and_left_alone(living: Living) -> None:
    living.run()
    living.write([0], "changed")
    living.remove(1)
    living.write([7])
    update = living.extend()
    assert update.counts == {"new planned": 1, "changed left": 1, "vanished left": 1}
    assert [(c.what, c.path) for c in update.changes if c.what != "new"] == [
        ("changed", "0.txt"),
        ("vanished", "1.txt"),
    ]
    assert living.run().exit_code == 0
    assert living.verify().exit_code() == 0


def test_the_card_and_the_status_are_of_all_generations(living: Living) -> None:
    living.run()
    living.write(range(6, 9))
    living.extend()
    living.run()
    seen = living.status()
    assert (seen.objects, seen.objects_committed, seen.exit_code()) == (9, 9, 0)
    assert seen.source_bytes == seen.source_bytes_committed
    card = (living.dataset / layout.CARD).read_text()
    assert "| texts | 9 |" in card
    assert living.header().digest in card


def test_the_program_extends_over_http_and_tells_it_as_json(tmp_path: Path) -> None:
    region = tmp_path / "region"
    region.mkdir()
    with HostileServer(region) as server:
        living = Living(tmp_path, url=f"{server.url}*.txt")
        living.write(range(4))
        assert living.program("run", "-q").returncode == 0
        living.write(range(4, 6))
        done = living.program("plan", "--extend", "--json")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert (told["kind"], told["generation"], told["counts"]) == ("extend", 1, {"new planned": 2})
        asked = len(server.ranges())
        assert living.program("run", "-q").returncode == 0
        hauled = {served.path for served in server.ranges()[asked:] if served.method == "GET"}
        assert hauled == {"4.txt", "5.txt"}, "nothing that was committed crosses the link again"
    assert living.verify().exit_code() == 0


def test_extending_killed_at_any_step_leaves_the_old_plan_or_the_new(tmp_path: Path) -> None:
    base = Living(tmp_path, "base")
    base.write(range(4))
    base.plan()
    base.write([4, 5])
    at, extended = 0, 0
    while True:
        living = base.copy(f"at-{at}")
        if not _killed(living, at):
            break
        with closing(Plan.open(living.store())) as plan:
            extended += len(plan.generations) == 2
            assert len(list(plan.objects())) == (6 if len(plan.generations) == 2 else 4)
        update = living.extend()
        assert update.header.objects == 6
        assert living.header().digest == update.header.digest
        at += 2
    assert at > 20, "the steps of extending were not reached"
    assert extended > 0


class _Deadly(LocalFiles):
    def __init__(self, at: int) -> None:
        self._left = at

    def before(self, step: Step, path: Path) -> None:
        self._tick()

    def after(self, step: Step, path: Path) -> None:
        self._tick()

    def _tick(self) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _killed(living: Living, at: int) -> bool:
    child = os.fork()
    if child == 0:
        try:
            store = open_store(str(living.dataset), writable=True, files=_Deadly(at))
            extend_plan(living.loaded(), store)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)
