"""Objects that changed or vanished are pinned anew or dropped where they are not committed. Whole hauls."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest
from tests.hauling.living import Living

from dataset.standing_of import committed_shards
from skyhaul.dataset.storage.files import LocalFiles, Step
from skyhaul.dataset.storage.opening import open_store
from skyhaul.planning.amend_plan import amend_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_connectors.transfer.spool.lock import SpoolLock
from skyhaul_connectors.transfer.spool.spool import folder_name
from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError


@pytest.fixture
def living(tmp_path: Path) -> Living:
    made = Living(tmp_path)
    made.write(range(8))
    return made


def shard_of(living: Living, number: int) -> int:
    with closing(Plan.open(living.store())) as plan:
        return next(s.number for s in plan.shards() for c in s.chunks if c.object.path == f"{number}.txt")


def test_what_changed_is_hauled_as_it_is_now_and_what_vanished_is_gone(living: Living) -> None:
    living.plan()
    living.write([2], "changed")
    living.remove(5)
    assert living.run().exit_code == 3, "both objects fail their shards"
    failed = living.status().shards_failed
    assert failed
    update = living.amend()
    assert update.counts == {"changed pinned-anew": 1, "vanished dropped": 1}
    seen = living.status()
    assert (seen.shards_failed, seen.shards_left) == (0, len(update.amended))
    assert living.run().exit_code == 0, "run takes the amended shards up"
    assert living.texts() == {f"{n}.txt" for n in range(8) if n != 5}
    report = living.verify()
    assert report.findings == []
    assert report.exit_code() == 0
    seen = living.status()
    assert (seen.objects, seen.objects_committed) == (7, 7)
    assert living.amend().generation is None


def test_a_shard_that_loses_all_its_objects_is_committed_empty(living: Living) -> None:
    living.plan()
    with closing(Plan.open(living.store())) as plan:
        emptied = [chunk.object.path for chunk in plan.shard(1).chunks]
    for path in emptied:
        living.remove(int(path.split(".")[0]))
    assert living.amend().amended == [1]
    assert living.run().exit_code == 0
    assert not [path for path in living.files() if "0000001" in path]
    assert living.verify().exit_code() == 0
    assert living.status().objects_committed == 8 - len(emptied)


def test_committed_shards_stay_as_they_are(living: Living) -> None:
    living.run()
    before = living.files()
    living.write([0], "changed")
    living.remove(1)
    update = living.amend()
    assert (update.generation, update.counts) == (None, {"changed kept": 1, "vanished kept": 1})
    assert living.run().exit_code == 0
    assert living.files() == before
    assert living.verify().exit_code() == 0


def test_new_objects_are_left_to_an_extension_which_then_goes_on(living: Living) -> None:
    living.plan()
    living.write([3], "changed")
    living.write([8])
    assert living.amend().counts == {"changed pinned-anew": 1, "new left": 1}
    assert living.extend().counts == {"new planned": 1}
    assert living.run().exit_code == 0
    assert living.texts() == {f"{n}.txt" for n in range(9)}
    assert living.verify().exit_code() == 0


def test_an_object_that_is_partly_committed_is_cut_short_and_one_that_grew_gets_more_shards(
    tmp_path: Path,
) -> None:
    living = Living(
        tmp_path, sources={"texts": {"url": f"{tmp_path}/region/*.jsonl", "format": "jsonl"}},
        shards={"target_size": "4kB", "chunk_size": "4kB"},
    )  # fmt: skip

    def write(name: str, lines: int, salt: str) -> None:
        rows = [json.dumps({"text": f"{salt} {n} {'x' * 80}"}) for n in range(lines)]
        (living.region / name).write_text("\n".join(rows) + "\n")

    write("cut.jsonl", 200, "old")
    write("grown.jsonl", 50, "old")
    living.plan()
    with closing(Plan.open(living.store())) as plan:
        first = next(
            s.number for s in plan.shards() for c in s.chunks if (c.object.path, c.offset) == ("cut.jsonl", 0)
        )
    living.run(only=frozenset([first]))
    assert len(committed_shards(living.store())) == 1
    write("cut.jsonl", 100, "new")
    write("grown.jsonl", 500, "new")
    update = living.amend()
    assert update.counts == {"changed cut-short": 1, "changed pinned-anew": 1}
    assert update.shards > 0, "the longer object needs further shards"
    assert living.run().exit_code == 0
    report = living.verify()
    assert report.findings == []
    assert report.exit_code() == 0
    import pyarrow.dataset as ds

    rows = ds.dataset(living.dataset / "data").to_table(columns=["text", "provenance"]).to_pylist()
    texts = {name: {row["text"].split()[0] for row in rows if row["provenance"]["object"] == name}
             for name in ("cut.jsonl", "grown.jsonl")}  # fmt: skip
    assert texts == {"cut.jsonl": {"old"}, "grown.jsonl": {"new"}}, "no object has rows of two versions"
    assert len([row for row in rows if row["provenance"]["object"] == "grown.jsonl"]) == 500


def test_what_a_crash_left_of_an_amended_shard_is_cleared_away(living: Living) -> None:
    living.run()
    number = shard_of(living, 2)
    (living.dataset / layout.commit_file(number)).unlink()
    living.write([2], "changed")
    assert living.amend().amended == [number]
    assert living.run().exit_code == 0
    assert living.verify().exit_code() == 0


def test_amending_is_refused_while_a_haul_runs(living: Living) -> None:
    header = living.plan()
    spool = Path(living.loaded().job.spool) / folder_name(header.digest)
    spool.mkdir(parents=True)
    lock = SpoolLock(spool)
    with pytest.raises(UsageError, match="stop it, then amend"):
        living.amend()
    lock.release()


def test_the_program_tells_what_changed(living: Living) -> None:
    assert living.program("plan", "-q").returncode == 0
    living.write([2], "changed")
    told = living.program("plan", "--amend")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("amended: living, 1 shard changed")
    assert "changed  texts/2.txt  pinned anew" in told.stdout
    living.remove(2)
    changes = json.loads(living.program("plan", "--amend", "--json").stdout)["changes"]
    assert [(c["path"], c["what"], c["outcome"]) for c in changes] == [("2.txt", "vanished", "dropped")]
    assert living.program("plan", "--amend", "--extend").returncode == 2


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
            amend_plan(living.loaded(), store)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_amending_killed_at_any_step_leaves_the_old_plan_or_the_new(tmp_path: Path) -> None:
    base = Living(tmp_path, "base")
    base.write(range(8))
    base.plan()
    base.write([2], "changed")
    base.remove(5)
    base.run()
    failed = base.status().shards_failed
    at, seen = 0, set()
    while _killed(living := base.copy(f"at-{at}"), at):
        with closing(Plan.open(living.store())) as plan:
            generations = len(plan.generations)
            paths = {obj.path for obj in plan.objects()}
        seen.add(generations)
        assert ("5.txt" in paths) == (generations == 1)
        status = living.status()
        assert status.shards_failed == (failed if generations == 1 else 0)
        if at % 9 == 0:
            living.amend()
            assert living.run().exit_code == 0
            assert living.verify().exit_code() == 0
        at += 3
    assert at > 30, "the steps of amending were not reached"
    assert seen == {1, 2}
