"""Which shard is encoded next: what is whole before what is not, and one waiter a source beside the rest."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from skyhaul.hauling.encode_queue import EncodeQueue


@dataclass(eq=False)
class Shard:
    source: str
    whole: bool = False


def test_the_oldest_whole_shard_goes_first_whatever_stands_before_it() -> None:
    queue: EncodeQueue[Shard] = EncodeQueue(places=3)
    dripping, first, second = Shard("a"), Shard("b", whole=True), Shard("b", whole=True)
    for shard in (dripping, first, second):
        queue.put(shard)
    assert [queue.take() for _ in range(3)] == [first, second, dripping]


def test_while_nothing_is_whole_the_oldest_is_encoded_as_it_comes() -> None:
    queue: EncodeQueue[Shard] = EncodeQueue(places=1)
    first, second = Shard("a"), Shard("a")
    queue.put(first)
    queue.put(second)
    assert queue.take() is first


def test_who_waits_for_bytes_gives_its_place_up_and_takes_it_again() -> None:
    queue: EncodeQueue[Shard] = EncodeQueue(places=1)
    dripping, quick = Shard("a"), Shard("b", whole=True)
    queue.put(dripping)
    assert queue.take() is dripping
    queue.put(quick)
    told: list[str] = []
    arrived, resumed = threading.Event(), threading.Event()

    def encode() -> None:
        with queue.waiting("a"):
            arrived.wait(10)
        told.append("dripping goes on")
        resumed.set()

    thread = threading.Thread(target=encode)
    thread.start()
    assert queue.take() is quick, "its place is free"
    arrived.set()
    assert not resumed.wait(0.05), "there is one place, and it is taken"
    told.append("quick is done")
    queue.done()
    assert resumed.wait(10)
    thread.join()
    assert told == ["quick is done", "dripping goes on"]


def test_one_shard_of_a_source_waits_and_no_more() -> None:
    queue: EncodeQueue[Shard] = EncodeQueue(places=1)
    first, second, other = Shard("a"), Shard("a"), Shard("b")
    for shard in (first, second, other):
        queue.put(shard)
    assert queue.take() is first
    with queue.waiting("a"):
        assert queue.take() is other, "a second one of the same source would only wait, too"
        queue.done()


def test_what_becomes_whole_is_taken_by_whoever_waits_for_work() -> None:
    queue: EncodeQueue[Shard] = EncodeQueue(places=2)
    first, late = Shard("a"), Shard("a")
    queue.put(first)
    assert queue.take() is first
    taken: list[Shard | None] = []
    with queue.waiting("a"):
        queue.put(late)
        thread = threading.Thread(target=lambda: taken.append(queue.take()))
        thread.start()
        late.whole = True
        queue.look()
        thread.join(10)
    assert taken == [late]


def test_at_the_end_everybody_gets_nothing() -> None:
    queue: EncodeQueue[Shard] = EncodeQueue(places=1)
    queue.put(Shard("a", whole=True))
    queue.end()
    assert queue.take() is None
