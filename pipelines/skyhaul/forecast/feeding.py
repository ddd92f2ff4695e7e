"""The part of a haul in front of its scheduler.

Shards are claimed as the backlog runs low, and their segments enter the spool as long as they fit. Sans-I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from skyhaul_connectors.transfer.schedule.fetch_task import FetchTask
from skyhaul_connectors.transfer.schedule.scheduler import SourceScheduler
from skyhaul_connectors.transfer.segment import AddressMap, Segment
from skyhaul_connectors.transfer.snapshot import LEAST_LOW_WATER, LOW_WATER_SECONDS


class Room:
    """The spool's limit, in bytes.

    Attributes:
        starved: Looks at which a segment waited for room while there was nothing else to ask for."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.starved = 0


class _Fed:
    """A segment in the spool, or on its way there: how many of its bytes are missing."""

    __slots__ = ("left", "length")

    def __init__(self, length: int) -> None:
        self.left = self.length = length


class Feeder:
    """Feeds one source's scheduler.

    What is whole leaves the spool in order, at once: encoding costs no time here."""

    def __init__(self, scheduler: SourceScheduler, shards: Sequence[Sequence[Segment]], room: Room) -> None:
        self._scheduler = scheduler
        self._shards = iter(enumerate(shards))
        self._room = room
        self._due: deque[tuple[int, int, _Fed]] = deque()
        self._inside: deque[_Fed] = deque()
        self._queued = 0
        self._works: dict[int, FetchTask] = {}
        self.claimed_all = False

    @property
    def done(self) -> bool:
        return self.claimed_all and not self._due and not self._scheduler.missing

    def feed(self, now: float) -> None:
        """Claim and admit what may enter at `now`."""
        goodput = sum(lane.estimate.meter.rate(now) for lane in self._scheduler.lanes)
        # As `skyhaul.hauling` claims: so much ahead that the link never waits for the next shard.
        low_water = max(LEAST_LOW_WATER, LOW_WATER_SECONDS * goodput)
        while not self.claimed_all and self._queued + self._scheduler.missing < low_water:
            claimed = next(self._shards, None)
            if claimed is None:
                self.claimed_all = True
            else:
                self._claim(*claimed)
        self._admit(now)

    def _claim(self, key: int, segments: Sequence[Segment]) -> None:
        fed = [_Fed(segment.length) for segment in segments]
        address = AddressMap(segments)

        work = FetchTask(key, key, address, _CountedSink(address, fed, self))
        self._works[key] = work
        self._scheduler.add(work)
        for index, part in enumerate(fed):
            if part.length:
                self._due.append((key, index, part))
                self._queued += part.length

    def _admit(self, now: float) -> None:
        room = self._room
        while self._due:
            key, index, part = self._due[0]
            # A segment that is larger than the spool enters an empty one, or nothing ever would.
            if room.taken + part.length > room.limit and self._inside:
                out = sum(lane.outstanding for lane in self._scheduler.lanes)
                room.starved += self._scheduler.missing <= out
                return
            self._due.popleft()
            self._queued -= part.length
            room.taken += part.length
            self._inside.append(part)
            self._scheduler.want(key, index, now)

    def release(self) -> None:
        """Let go of what has arrived, in the order of claims."""
        while self._inside and not self._inside[0].left:
            self._room.taken -= self._inside.popleft().length


class _CountedSink:
    """Counts a shard's bytes instead of writing them."""

    def __init__(self, address: AddressMap, fed: Sequence[_Fed], feeder: Feeder) -> None:
        self._address = address
        self._fed = fed
        self._feeder = feeder

    def write(self, position: int, data: bytes | memoryview) -> None:
        part = self._fed[self._address.segment_at(position)]
        part.left -= len(data)
        if not part.left:
            self._feeder.release()


def length_of(shards: Sequence[Sequence[Segment]]) -> int:
    """Bytes of all segments."""
    return sum(segment.length for segments in shards for segment in segments)


def cut_to(shards: Iterator[Sequence[Segment]], count: int, most: int) -> list[list[Segment]]:
    """The first `count` bytes or so of what `shards` need, of at most `most` segments.

    The last segment is cut where it passes `count`."""
    taken: list[list[Segment]] = []
    left, segments = count, 0
    for shard in shards:
        if left <= 0 or segments >= most:
            break
        taken.append([])
        for segment in shard:
            if left <= 0 or segments >= most:
                break
            length = min(segment.length, left)
            taken[-1].append(segment if length == segment.length else _short(segment, length))
            left -= length
            segments += 1
    return taken


def _short(segment: Segment, length: int) -> Segment:
    return Segment(segment.object, segment.offset, length)
