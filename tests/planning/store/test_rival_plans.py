"""Several processes plan one dataset at once: it holds one plan, whole, or a way to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fsspec
import pytest
from tests.hauling.living import Living

from planning.planned import Listing, job_for, pinned, plan_bytes, plan_into
from skyhaul.dataset.storage.files import LocalFiles
from skyhaul.dataset.storage.local import LocalStore
from skyhaul.dataset.storage.remote import RemoteStore
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.planning.build import settling
from skyhaul.planning.make_plan import plan_sources, settled_plan
from skyhaul.planning.store.plan import Plan
from skyhaul_schemas import layout
from skyhaul_schemas.errors import PlanDamaged, PlanMismatch
from skyhaul_schemas.job.file import LoadedJob
from skyhaul_schemas.plan import PlanHeader

SEED = 613


class Killed(BaseException):
    """The process ends here."""


class Turns:
    """Whose turn it is to make a call on the store. One that has ended, or was killed, gives its turns
    away."""

    def __init__(self, names: str, dice: random.Random, deadly: float) -> None:
        self._dice = dice
        self._names = set(names)
        self._deadly = deadly
        self._changed = threading.Condition()
        self._next = dice.choice(sorted(names))
        self.calls = 0

    def take(self, name: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._next == name, 30)
            self.calls += 1
            dies = self._dice.random() < self._deadly
            if not dies:
                self._next = self._dice.choice(sorted(self._names))
            self._changed.notify_all()
        if dies:
            raise Killed

    def end(self, name: str) -> None:
        with self._changed:
            self._names.discard(name)
            if self._names:
                self._next = self._dice.choice(sorted(self._names))
            self._changed.notify_all()


class Stepped:
    """Before a call on the store its turn has to come."""

    turn: Callable[[], None] = staticmethod(lambda: None)

    def exists(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().exists(*a, **k)  # type: ignore[misc]

    def read_bytes(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().read_bytes(*a, **k)  # type: ignore[misc]

    def publish(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().publish(*a, **k)  # type: ignore[misc]

    def create_bytes(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().create_bytes(*a, **k)  # type: ignore[misc]

    def copy(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().copy(*a, **k)  # type: ignore[misc]

    def remove(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().remove(*a, **k)  # type: ignore[misc]

    def replace_bytes(self, *a: Any, **k: Any) -> Any:
        self.turn()
        return super().replace_bytes(*a, **k)  # type: ignore[misc]


class SteppedLocal(Stepped, LocalStore):
    """In a folder."""


class SteppedRemote(Stepped, RemoteStore):
    """In the memory of fsspec, which creates without replacing as an object store does."""


@pytest.fixture(params=["local", "remote"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[int], Any]]:
    """The store of a numbered dataset, opened."""
    if request.param == "local":
        yield lambda number: SteppedLocal(str(tmp_path / f"{number}"), True, LocalFiles())
        return
    yield lambda number: SteppedRemote(f"memory://rivals/{number}", True, LocalFiles())
    if fsspec.filesystem("memory").exists("/rivals"):
        fsspec.filesystem("memory").rm("/rivals", recursive=True)


def listing(name: str) -> dict[str, Listing]:
    more = {"a": 0, "b": 3, "c": 1}[name]
    return {"s": Listing("s", [pinned("s", f"{n}.jsonl", 100, f'etag:"{more}"') for n in range(20 + more)])}


def is_whole(store: DatasetStore, jobs: dict[str, LoadedJob]) -> str:
    """Whose plan the dataset holds; objects, shards and job are its own, and no draft is left."""
    with closing(Plan.open(store)) as plan:
        objects = list(plan.objects())
        assert len(objects) == plan.header.objects == plan.header.chunks
        assert {o.path for o in objects} == {c.object.path for s in plan.shards() for c in s.chunks}
        assert plan.generations[0].has_objects()
        assert [path for path in store.list(layout.PLAN) if path.startswith(layout.DRAFTS)] == []
        name = {20: "a", 23: "b", 21: "c"}[plan.header.objects]
        assert store.read_bytes(layout.JOB).decode() == jobs[name].text
        return name


def race(
    opened: Callable[[int], Any], number: int, jobs: dict[str, LoadedJob], turns: Turns
) -> dict[str, PlanHeader | BaseException]:
    """Plan with the listings of a and b at once. What each came to."""
    ends: dict[str, PlanHeader | BaseException] = {}

    def plan(name: str) -> None:
        store = opened(number)
        store.turn = lambda: turns.take(name)
        try:
            ends[name] = plan_sources(jobs[name], {"s": ["*"]}, listing(name), store)
        except (Killed, PlanMismatch) as error:
            ends[name] = error
        finally:
            turns.end(name)
            store.turn = lambda: None
            store.close()

    threads = [threading.Thread(target=plan, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return ends


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, LoadedJob]:
    return {name: job_for(tmp_path, top=f"# the job of {name}") for name in "abc"}


def test_two_first_plans_in_any_order_of_their_calls_leave_the_plan_of_one(
    opened: Callable[[int], Any], jobs: dict[str, LoadedJob]
) -> None:
    won = {"a": 0, "b": 0}
    for number in range(40):
        turns = Turns("ab", random.Random(SEED + number), deadly=0)
        ends = race(opened, number, jobs, turns)
        winner = is_whole(opened(number), jobs)
        won[winner] += 1
        loser = "b" if winner == "a" else "a"
        assert isinstance(ends[winner], PlanHeader)
        assert isinstance(ends[loser], PlanMismatch)
        assert "was given another plan at the same time" in str(ends[loser])
        assert turns.calls > 12
    assert min(won.values()) > 5


def test_whoever_dies_while_two_plan_the_next_one_finds_a_plan_or_makes_one(
    opened: Callable[[int], Any], jobs: dict[str, LoadedJob]
) -> None:
    dead, taken_over = 0, 0
    for number in range(60):
        ends = race(opened, number, jobs, Turns("ab", random.Random(SEED + number), deadly=0.06))
        dead += sum(isinstance(end, Killed) for end in ends.values())
        store = opened(number)
        if Plan.exists(store):
            with closing(Plan.open(store)) as plan:
                assert len(list(plan.objects())) == plan.header.objects, (
                    "readers have it before it is settled"
                )
                name = {20: "a", 23: "b"}[plan.header.objects]
            settled_plan(jobs[name], store).close()
            assert is_whole(store, jobs) == name
            taken_over += 1
        else:
            assert not any(isinstance(end, PlanHeader) for end in ends.values())
            plan_sources(jobs["c"], {"s": ["*"]}, listing("c"), store)
            assert is_whole(store, jobs) == "c"
    assert dead > 20
    assert 10 < taken_over < 60


def test_equal_plans_at_once_are_one_plan_for_both(
    opened: Callable[[int], Any], jobs: dict[str, LoadedJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.listing", lambda name: {"s": Listing("s", [pinned("s", "x", 9)])})
    for number in range(10):
        ends = race(opened, number, jobs, Turns("ab", random.Random(SEED + number), deadly=0))
        assert ends["a"] == ends["b"]
        with closing(Plan.open(opened(number))) as plan:
            assert plan.header == ends["a"]


def test_objects_of_another_plan_are_made_anew_from_the_rows_and_kept(tmp_path: Path) -> None:
    loaded = job_for(tmp_path)
    _, store = plan_into(tmp_path, loaded, listing("a"))
    _, other = plan_into(tmp_path / "other", job_for(tmp_path / "other"), listing("b"))
    sound = plan_bytes(store)
    foreign = other.read_bytes(layout.OBJECTS)
    store.replace_bytes(layout.OBJECTS, foreign)
    with (
        closing(Plan.open(store)) as plan,
        pytest.raises(PlanDamaged, match=r"belongs to another.*skyhaul plan JOB"),
    ):
        list(plan.objects())
    settled_plan(loaded, store).close()
    assert plan_bytes(store) == sound
    assert store.read_bytes(f"{layout.SET_ASIDE}/{layout.OBJECTS}.0") == foreign
    store.remove(layout.OBJECTS)
    with (
        closing(Plan.open(store)) as plan,
        pytest.raises(PlanDamaged, match=r"is missing; `skyhaul plan JOB`"),
    ):
        list(plan.objects())
    settled_plan(loaded, store).close()
    assert plan_bytes(store) == sound


@pytest.fixture
def mixed(tmp_path: Path) -> Living:
    """Objects of one plan with shards of another, as two versions without drafts left them."""
    living = Living(tmp_path)
    living.write(range(6))
    living.plan()
    other = Living(tmp_path, "other")
    living.write([6])
    other.plan()
    (living.dataset / layout.OBJECTS).write_bytes((other.dataset / layout.OBJECTS).read_bytes())
    return living


def test_the_program_says_that_a_plan_is_mixed_and_plan_mends_it(mixed: Living) -> None:
    told = mixed.program("verify", "-q")
    assert told.returncode == 4
    assert "belongs to another plan" in told.stdout
    assert "skyhaul plan" in told.stdout
    done = mixed.program("plan", "-q")
    assert done.returncode == 0, done.stderr
    assert mixed.run().exit_code == 0
    assert mixed.verify().findings == []
    assert mixed.texts() == {f"{n}.txt" for n in range(6)}
    assert mixed.extend().counts == {"new planned": 1}


def test_run_mends_a_mixed_plan_on_its_way(mixed: Living) -> None:
    assert mixed.run().exit_code == 0
    assert mixed.verify().findings == []


def test_a_mixed_plan_that_its_rows_do_not_mend_is_made_anew_where_nothing_rests_on_it(
    mixed: Living, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_made_anew", lambda generation, store, spool: False)
    with pytest.raises(PlanDamaged, match="plans anew where nothing is hauled yet"):
        mixed.run()
    commit = mixed.dataset / layout.commit_file(0)
    commit.parent.mkdir(parents=True)
    commit.write_text("{}")
    with pytest.raises(PlanDamaged, match="rests on this one; restore it from a copy"):
        mixed.plan()
    commit.unlink()
    assert mixed.plan().objects == 7
    monkeypatch.undo()
    assert mixed.run().exit_code == 0
    assert mixed.verify().findings == []
    assert mixed.texts() == {f"{n}.txt" for n in range(7)}


def test_an_extension_that_died_before_its_objects_had_their_name_is_read_and_settled(tmp_path: Path) -> None:
    living = Living(tmp_path)
    living.write(range(4))
    living.plan()
    living.write([4, 5])
    header = living.extend()
    own = living.dataset / layout.objects_file(1)
    draft = living.dataset / layout.draft_file(1, header.header.digest, "objects.parquet")
    own.rename(draft)
    own.write_bytes((living.dataset / layout.OBJECTS).read_bytes())
    with closing(Plan.open(living.store())) as plan:
        assert {o.path for o in plan.objects()} == {f"{n}.txt" for n in range(6)}
    assert living.run().exit_code == 0
    assert not draft.exists()
    assert living.verify().findings == []
