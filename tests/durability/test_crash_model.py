"""The model by itself: what a disk may hold after a crash, by rules that fit on a page."""

from __future__ import annotations

import itertools

from durability.crash_model import Crash, History, crashes, crashes_without
from durability.trace import Call

OPENING = itertools.count(1)


def wrote(path: str, data: bytes, *, sync: bool) -> list[Call]:
    """A new file with `data`."""
    opening = next(OPENING)
    calls = [Call("create", path, opening=opening), Call("write", path, opening=opening, data=data)]
    return [*calls, Call("fsync", path, opening=opening)] if sync else calls


def synced(folder: str) -> list[Call]:
    opening = next(OPENING)
    return [Call("open", folder, opening=opening), Call("fsync", folder, opening=opening)]


def history(*calls: list[Call]) -> History:
    made = History({"old": b"before"}, frozenset({"d"}))
    made.add(itertools.chain.from_iterable(calls))
    return made


def worst(made: History, without: tuple[tuple[str, str], ...] = ()) -> dict[str, bytes]:
    """All that may be lost at the end is."""
    end = len(made.ops)
    return made.disk(Crash(end, frozenset(made.unsynced(end, made.lasting(without))))).files


def test_bytes_last_by_a_sync_of_the_file_and_its_name_by_one_of_the_folder() -> None:
    assert worst(history(wrote("d/a", b"new", sync=False))) == {"old": b"before"}
    assert worst(history(wrote("d/a", b"new", sync=True))) == {"old": b"before"}
    assert worst(history(wrote("d/a", b"new", sync=False), synced("d"))) == {"old": b"before", "d/a": b""}
    assert worst(history(wrote("d/a", b"new", sync=True), synced("d"))) == {"old": b"before", "d/a": b"new"}


def test_a_sync_says_nothing_of_what_comes_after_it() -> None:
    made = history(synced("d"), wrote("d/a", b"new", sync=True))
    assert worst(made) == {"old": b"before"}


def test_a_removed_file_may_come_back_until_its_folder_is_synced() -> None:
    gone = [Call("unlink", "old")]
    assert worst(history(gone)) == {"old": b"before"}
    assert worst(history(gone, synced(""))) == {}


def test_a_link_and_a_rename_take_the_bytes_along_and_are_whole_or_not_at_all() -> None:
    made = history(wrote("d/a", b"new", sync=True), [Call("rename", "d/a", "old")])
    disks = [made.disk(crash).files for crash in crashes(made, 1, 0)]
    assert {disk["old"] for disk in disks} == {b"before", b"new"}
    unsynced = history(wrote("d/a", b"new", sync=False), [Call("rename", "d/a", "old")])
    assert {unsynced.disk(c).files["old"] for c in crashes(unsynced, 1, 0)} >= {b"before", b"new", b""}
    assert worst(made) == {"old": b"before"}
    linked = history(
        wrote("d/a", b"new", sync=True), [Call("link", "d/a", "b"), Call("unlink", "d/a")], synced("")
    )
    assert worst(linked) == {"old": b"before", "b": b"new"}


def test_what_lies_below_a_lost_folder_is_lost() -> None:
    calls = [[Call("mkdir", "e")], wrote("e/a", b"new", sync=True), synced("e")]
    assert worst(history(*calls)) == {"old": b"before"}
    assert worst(history(*calls, synced(""))) == {"old": b"before", "e/a": b"new"}


def test_later_bytes_may_reach_the_disk_before_earlier_ones() -> None:
    opening = next(OPENING)
    made = history(
        [Call("open", "old", opening=opening), Call("pwrite", "old", opening=opening, offset=0, data=b"BE")],
        [Call("pwrite", "old", opening=opening, offset=4, data=b"RE!")],
    )
    lost = [frozenset(n) for n in ((), (0,), (1,), (0, 1))]
    found = [made.disk(Crash(2, which)).files["old"] for which in lost]
    assert found == [b"BEfoRE!", b"befoRE!", b"BEfore", b"before"]
    assert made.unsynced(2, made.lasting()) == [0, 1]


def test_a_write_may_be_torn_and_a_hole_reads_as_zeros() -> None:
    opening = next(OPENING)
    calls = [
        Call("open", "old", opening=opening),
        Call("pwrite", "old", opening=opening, offset=0, data=b"x" * 1500),
        Call("punch", "old", opening=opening, offset=100, length=10),
        Call("truncate", "old", opening=opening, length=200),
    ]
    made = history(calls)
    assert made.disk(Crash(1, torn=0)).files["old"] == b"x" * 512
    assert made.disk(Crash(3)).files["old"] == b"x" * 100 + bytes(10) + b"x" * 90


def test_a_sync_that_is_taken_out_frees_what_it_held() -> None:
    made = history(wrote("d/a", b"new", sync=True), synced("d"))
    assert worst(made, (("fsync", "d"),)) == {"old": b"before"}
    assert worst(made, (("fsync", "d/a"),)) == {"old": b"before", "d/a": b""}
    lost = [made.disk(crash).files for crash in crashes_without(made, ("fsync", "d"))]
    assert lost
    assert all("d/a" not in disk for disk in lost)


def test_a_history_goes_on_from_an_instant_with_what_was_not_synced() -> None:
    made = history(wrote("d/a", b"new", sync=True), synced("d"))
    killed = made.until(2)
    opening = next(OPENING)
    killed.add([Call("open", "d/a", opening=opening), Call("fsync", "d/a", opening=opening)])
    assert killed.disk(Crash(len(killed.ops))).files == {"old": b"before", "d/a": b"new"}
    assert worst(killed) == {"old": b"before"}
