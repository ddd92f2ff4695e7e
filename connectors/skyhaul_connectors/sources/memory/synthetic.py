"""Objects that exist by a rule: for rehearsals of any size, with nothing to set up and nothing to store.

    synthetic://corpus?count=10000000&size=4kB&seed=7

`count` objects (at most 10**9) with `size` bytes on average, each from half to one and a half times that.
What each holds is a function of seed and number: lines of 63 characters (digits and small letters) and a line
feed, so that any range is made without what stands before it. The last line may be cut.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.protocol import ChannelEvents, Route
from skyhaul_connectors.sources.reading_channel import ReadingChannel
from skyhaul_connectors.sources.timeouts import Timeouts
from skyhaul_schemas.errors import ObjectMissing, SourceChanged, ValueRefused
from skyhaul_schemas.plan import PinnedObject
from skyhaul_schemas.printable import printable
from skyhaul_schemas.units import SIZE_LIMIT, NotAllowed, parse_size

SCHEME = "synthetic"
LINE = 64
"""Bytes of a line, its line feed included."""

MOST = 10**9
"""Objects at most: a path holds nine digits of the number, so that paths sort as numbers do."""

_FOLDER = 1000
"""Objects of one folder. Chosen, not measured: a billion of them are a million folders of a thousand each."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What the objects are made by.

    Attributes:
        count: How many there are.
        size: Bytes of one on average.
        seed: Other objects for another seed."""

    count: int
    size: int
    seed: int = 0

    @classmethod
    def parse(cls, name: str, url: str) -> Rule:
        """Raises UsageError. `name` is the source's."""
        parts = urlsplit(url)
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            if set(given) - {"count", "size", "seed"} or "count" not in given or parts.path.strip("/"):
                raise NotAllowed(url, "count, size and seed")
            count, seed = int(given["count"]), int(given.get("seed", "0"))
            size = parse_size(given.get("size", "4kB"))
            if not (1 <= count <= MOST and 0 <= seed < 1 << 63 and 1 <= size < SIZE_LIMIT // 2):
                raise NotAllowed(url, "a count from 1 to 10**9, a size, a seed")
        except ValueError:
            allowed = "synthetic://NAME?count=1000&size=4kB, and &seed=7 if you like"
            said = f"source {name}: {printable(url)!r} is not taken; write {allowed}"
            raise ValueRefused(said, ("sources", name, "url"), url, allowed) from None
        return cls(count, size, seed)

    @property
    def pattern(self) -> str:
        """What of the URL belongs to the plan's digest."""
        return f"count={self.count}&size={self.size}&seed={self.seed}"

    def path(self, number: int) -> str:
        return f"{number // _FOLDER:06d}/{number:09d}.txt"

    def length(self, number: int) -> int:
        """Bytes of the object."""
        # From half to one and a half times the mean: sizes that are all equal would hide faults at borders.
        spread = int.from_bytes(self._hash(number, 0)[:8], "big") % (self.size + 1)
        return self.size - self.size // 2 + spread if self.size > 1 else 1

    def read(self, number: int, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length) of the object."""
        first = offset // LINE
        lines = range(first, -(-(offset + length) // LINE))
        data = b"".join(self._line(number, line) for line in lines)
        return data[offset - first * LINE :][:length]

    def _line(self, number: int, line: int) -> bytes:
        # Part 0 of an object is its length, so lines are the parts from 1 on.
        # 40 bytes are 64 characters in base 32; the last makes room for the line feed.
        return base64.b32encode(self._hash(number, line + 1)[:40])[:-1].lower() + b"\n"

    def _hash(self, number: int, part: int) -> bytes:
        place = number.to_bytes(8, "big") + part.to_bytes(8, "big")
        return hashlib.blake2b(place, digest_size=40, key=self.seed.to_bytes(8, "big")).digest()


class SyntheticSource:
    """The objects of a rule. Raises nothing but for objects that another rule would have."""

    def __init__(self, name: str, rule: Rule, *, timeouts: Timeouts | None = None) -> None:
        self._name = name
        self._rule = rule
        self._timeouts = timeouts or Timeouts()

    @property
    def name(self) -> str:
        return self._name

    def listing(self, left_out: LeftOut | None = None) -> Iterator[PinnedObject]:
        rule, version = self._rule, self._version()
        for number in range(rule.count):
            yield PinnedObject(self._name, rule.path(number), rule.length(number), version)

    def connect(self, events: ChannelEvents, route: Route) -> ReadingChannel:
        return ReadingChannel(self.read_now, events, threaded=False, timeouts=self._timeouts)

    def read_now(self, obj: PinnedObject, offset: int, length: int) -> bytes:
        # The path is input: it is taken back to a number, and must be that number's path to the letter.
        stem = obj.path.rpartition("/")[2].removesuffix(".txt")
        number = int(stem) if stem.isdecimal() else self._rule.count
        if number >= self._rule.count or obj.path != self._rule.path(number):
            raise ObjectMissing(f"{self._name}: {printable(obj.path)!r} is none of the rule's objects")
        if obj.version != self._version() or obj.size != self._rule.length(number):
            raise SourceChanged(f"{self._name}: the rule of {printable(obj.path)!r} is another one now")
        return self._rule.read(number, offset, length)

    def close(self) -> None:
        """Nothing is held open."""

    def _version(self) -> str:
        # Without the count: a rule with more objects leaves those that it had before as they are.
        return f"vid:synthetic-{self._rule.seed}-{self._rule.size}"
