"""What every source must do, as a class of tests: subclass it, and pytest runs them.

    import pytest
    from skyhaul.testing.sources import SourceSuite

    class TestAcme(SourceSuite):
        @pytest.fixture
        def place(self, tmp_path):
            return AcmePlace(tmp_path)

The place is where the source's objects are, as `Place` says; the suite puts objects there, hauls them, and
changes them under the source's feet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Protocol

from skyhaul.testing.channel import Told, ask
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.errors import CarriageError, ObjectMissing, SourceChanged
from skyhaul_schemas.plan import PinnedObject

__all__ = ["OBJECTS", "Place", "SourceSuite"]

__all__ = ["OBJECTS", "Place", "SourceSuite"]


def _pattern(length: int, seed: int) -> bytes:
    """Bytes in which no two stretches of eight are equal within 64 KiB, so that a wrong offset shows."""
    # Multiples of 2^32 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4).
    numbers = range(-(-length // 4))
    return b"".join((n * 2654435761 + seed & 0xFFFFFFFF).to_bytes(4, "big") for n in numbers)[:length]


OBJECTS: Mapping[str, bytes] = {
    "one byte.bin": b"\xff",
    "a/small.bin": _pattern(17, 1),
    "a/b/page.bin": _pattern(4096, 2),
    "a/b/large.bin": _pattern(1_000_003, 3),
    "a/ü+%41.bin": _pattern(300, 4),
}
"""Path -> bytes. Lengths around what clients read at once; a name with a space, one with `+`, `%` and a
letter that is no ASCII."""


class Place(Protocol):
    """Where a source's objects are, in the hands of a test."""

    def open(self) -> Source:
        """A new source of all objects that are there. Called several times; the suite closes each."""

    def put(self, path: str, data: bytes) -> None:
        """Create or replace the object, as somebody else would who knows nothing of the source."""

    def delete(self, path: str) -> None:
        """Take the object away."""


class SourceSuite:
    """Tests of one source. The fixture `place` gives a `Place` that is empty.

    Attributes:
        objects: Path -> bytes of what is put there; leave out names that no object can have.
        sees_changes: Whether a pin tells an object from another one of the same size that replaces it. False
            only where the place states nothing that changes; the suite then changes sizes, too.
    """

    objects: ClassVar[Mapping[str, bytes]] = OBJECTS
    sees_changes: ClassVar[bool] = True

    _filled = False

    def test_the_listing_has_every_object_once_and_pins_it(self, place: Place) -> None:
        pinned = self._pinned(place)
        assert sorted(pinned) == sorted(self.objects)
        for path, obj in pinned.items():
            assert obj.size == len(self.objects[path]), path
            assert obj.version or not self.sees_changes, f"{path} has no version"

    def test_the_listing_is_the_same_whoever_opens_the_source(self, place: Place) -> None:
        assert self._pinned(place) == self._pinned(place)
        source = place.open()
        try:
            first, second = ({obj.path: obj for obj in source.listing()} for _ in range(2))
            assert first == second
        finally:
            source.close()

    def test_each_range_of_a_small_object_is_exact(self, place: Place) -> None:
        # All 153 ranges of 17 bytes: whoever is off by one is so here.
        obj, data = self._one(place, self._by_size()[1])
        borders = range(len(data) + 1)
        self._exact(place, [(obj, a, b - a) for a in borders for b in borders if a < b])

    def test_ranges_at_the_borders_of_large_objects_are_exact(self, place: Place) -> None:
        pinned = self._pinned(place)
        self._exact(
            place,
            [
                (pinned[path], offset, length)
                for path in self._by_size()
                for offset, length in _borders(len(self.objects[path]))
            ],
        )

    def test_ranges_that_are_queued_are_exact_and_each_goes_to_its_request(self, place: Place) -> None:
        pinned = self._pinned(place)
        path = self._by_size()[-1]
        step = -(-len(self.objects[path]) // 40)
        ranges = [
            (pinned[path], at, min(step, pinned[path].size - at)) for at in range(0, pinned[path].size, step)
        ]
        # Out of order and among others' ranges, so that an answer that went to the next request shows.
        mixed = [(obj, 0, obj.size) for obj in pinned.values()]
        self._exact(place, [*ranges[::2], *mixed, *reversed(ranges[1::2])], at_once=True)

    def test_what_is_read_at_plan_time_is_exact(self, place: Place) -> None:
        pinned = self._pinned(place)
        source = place.open()
        try:
            for path, data in self.objects.items():
                for offset, length in _borders(len(data)):
                    assert source.read_now(pinned[path], offset, length) == data[offset : offset + length]
        finally:
            source.close()

    def test_a_pinned_object_that_was_replaced_gives_no_byte_as_if_it_were_the_one(
        self, place: Place
    ) -> None:
        path = self._by_size()[2]
        obj, data = self._one(place, path)
        # No byte as before, and the size as before where a pin says more than that.
        other = bytes(byte ^ 0xFF for byte in data)
        place.put(path, other if self.sees_changes else other + b"!")
        self._refused(place, obj, (SourceChanged,))

    def test_a_pin_of_another_version_is_refused(self, place: Place) -> None:
        obj, data = self._one(place, self._by_size()[2])
        self._refused(place, replace(obj, size=len(data) + 1), (CarriageError,))

    def test_an_object_that_is_gone_is_missing(self, place: Place) -> None:
        path = self._by_size()[2]
        obj, _ = self._one(place, path)
        place.delete(path)
        self._refused(place, obj, (ObjectMissing,))

    def test_a_range_that_fails_takes_no_other_with_it(self, place: Place) -> None:
        pinned = self._pinned(place)
        gone, kept = self._by_size()[2], self._by_size()[1]
        place.delete(gone)
        told = self._ask(place, [(pinned[gone], 0, 1), (pinned[kept], 0, pinned[kept].size)])
        assert not told.outcomes[0].done
        assert told.outcomes[1].done, told.closed_with
        assert bytes(told.outcomes[1].data) == self.objects[kept]

    def test_the_bytes_on_the_wire_are_no_fewer_than_those_that_came(self, place: Place) -> None:
        obj, data = self._one(place, self._by_size()[-1])
        assert self._ask(place, [(obj, 0, len(data))]).wire_bytes >= len(data)

    def test_a_source_is_closed_without_a_word_and_another_one_works_on(self, place: Place) -> None:
        obj, data = self._one(place, self._by_size()[1])
        first, second = place.open(), place.open()
        first.read_now(obj, 0, 1)
        # What sources share (a loop's thread, a pool of connections) must not go with the first of them.
        first.close()
        assert second.read_now(obj, 0, len(data)) == data
        second.close()

    def _pinned(self, place: Place) -> dict[str, PinnedObject]:
        """The objects, put there if they are not, as a new source lists them."""
        if not self._filled:  # pytest makes an instance a test
            for path, data in self.objects.items():
                place.put(path, data)
            self._filled = True
        source = place.open()
        try:
            listed = list(source.listing())
        finally:
            source.close()
        pinned = {obj.path: obj for obj in listed}
        assert len(pinned) == len(listed), "an object is listed twice"
        return pinned

    def _one(self, place: Place, path: str) -> tuple[PinnedObject, bytes]:
        return self._pinned(place)[path], self.objects[path]

    def _by_size(self) -> list[str]:
        return sorted(self.objects, key=lambda path: len(self.objects[path]))

    def _ask(
        self, place: Place, ranges: Sequence[tuple[PinnedObject, int, int]], *, at_once: bool = False
    ) -> Told:
        source = place.open()
        try:
            told = ask(source, ranges, at_once=at_once)
        finally:
            source.close()
        assert not told.faults, told.faults
        return told

    def _exact(
        self, place: Place, ranges: Sequence[tuple[PinnedObject, int, int]], *, at_once: bool = False
    ) -> None:
        told = self._ask(place, ranges, at_once=at_once)
        for (obj, offset, length), outcome in zip(ranges, told.outcomes, strict=True):
            where = f"{obj.path} [{offset}, {offset + length})"
            assert outcome.done, f"{where}: {outcome.error or told.closed_with!r}"
            expected = self.objects[obj.path][offset : offset + length]
            assert bytes(outcome.data) == expected, f"{where}: other bytes"

    def _refused(self, place: Place, obj: PinnedObject, kinds: tuple[type[CarriageError], ...]) -> None:
        """Both ways of reading refuse the object, with an error of `kinds`."""
        told = self._ask(place, [(obj, 0, obj.size)])
        # Of the request, or of the channel where that was closed with it.
        error = told.outcomes[0].error or told.closed_with
        assert not told.outcomes[0].done, "bytes were taken for the pinned object's"
        assert isinstance(error, kinds), f"failed with {error!r}"
        assert "\n" not in str(error), "a message is one line"
        source = place.open()
        try:
            refused = _error_of(source, obj)
        finally:
            source.close()
        assert isinstance(refused, kinds), f"read_now: {refused!r} in the place of an error"


def _error_of(source: Source, obj: PinnedObject) -> CarriageError | None:
    try:
        source.read_now(obj, 0, obj.size)
    except CarriageError as error:
        return error
    return None


def _borders(size: int) -> list[tuple[int, int]]:
    """(offset, length) of ranges at the ends of an object, and around the middle."""
    middle = size // 2
    ranges = {(0, 1), (0, size), (size - 1, 1), (middle, size - middle), (max(0, middle - 1), min(2, size))}
    return sorted((offset, min(length, size - offset)) for offset, length in ranges)
