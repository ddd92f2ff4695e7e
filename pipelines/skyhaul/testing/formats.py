"""What every format must do, as a class of tests: subclass it, and pytest runs them.

from skyhaul.testing.formats import FormatSuite, Repeated

class TestWords(FormatSuite):
    format = "words"
    path = "a.words"
    samples = (b"one two three",)
    huge = Repeated.of_size(FormatSuite.huge_size, b"a word ")
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar

from skyhaul.testing.decoding import Outcome, Task, chunks, decode, digest_elsewhere, growth_elsewhere
from skyhaul.testing.objects import Repeated
from skyhaul_connectors.formats.protocol import DecodeSettings
from skyhaul_schemas.errors import DecodeError
from skyhaul_schemas.plan import Chunk
from skyhaul_schemas.records import RecordSchema

__all__ = ["FormatSuite", "Repeated"]

__all__ = ["FormatSuite", "Repeated"]

_MIB = 1024 * 1024


class FormatSuite:
    """Tests of one format under one schema.

    Attributes:
        format: Its name; a plug-in's package must be installed (`pip install -e .` is enough).
        path: Of an object, with the suffix that the format expects.
        samples: Small objects (at most some KiB) that give records and no reject; at least one.
        schema: Record schema of the tests.
        options: As `decode:` of a source.
        fields: As `fields:` of a source.
        cuts_anywhere: Whether a chunk may begin at any byte: the decoder follows the record-that-starts-here
            rule. Else the suite cuts only where `Decoder.cut` does.
        huge: An object larger than memory should grow for. None only for a format whose every object is
            bounded by an option (a page, an image): then the suite looks that `too_large` is a reject.
        too_large: For a format without `huge`, an object beyond that bound.
        memory: Bytes that the process's peak may grow by for `huge`.
    """

    huge_size: ClassVar[int] = 128 * _MIB
    """Bytes of a huge object: twice `memory`, so that what reads it whole is seen."""

    format: ClassVar[str]
    path: ClassVar[str]
    samples: ClassVar[Sequence[bytes]]
    schema: ClassVar[RecordSchema] = "document"
    options: ClassVar[Mapping[str, Any]] = {}
    fields: ClassVar[Mapping[str, str]] = {}
    cuts_anywhere: ClassVar[bool] = False
    huge: ClassVar[Repeated | None] = None
    too_large: ClassVar[Repeated | None] = None
    memory: ClassVar[int] = 64 * _MIB

    def test_its_samples_give_records_and_nothing_else(self) -> None:
        assert self.samples, "a suite without samples shows nothing"
        for sample in self.samples:
            found = decode(self._task(sample))
            assert found.rows, f"no record of {sample[:40]!r}"
            assert not found.rejects, found.rejects
            assert not found.damaged

    def test_it_states_versions_for_the_plan(self) -> None:
        stated = self._task(b"").decoder().fingerprint
        assert all(isinstance(v, str) for pair in stated.items() for v in pair), stated

    def test_an_empty_object_gives_no_record_and_no_error(self) -> None:
        assert decode(self._task(b"")).rows == []
        assert decode(self._task(b"", chunk_size=1000)).rows == []

    def test_its_chunks_partition_the_object_and_their_segments_hold_them(self) -> None:
        for sample in self.samples:
            for size in _chunk_sizes(len(sample)):
                task = self._task(sample, chunk_size=size)
                decoder = task.decoder()
                cut = chunks(task, decoder)
                assert [(c.offset, c.length) for c in cut] == _partition(cut, len(sample))
                for chunk in cut:
                    _check_segments(decoder.segments(chunk), chunk)

    def test_records_are_the_same_wherever_the_object_is_cut(self) -> None:
        for sample in self.samples:
            whole = decode(self._task(sample))
            for size in _chunk_sizes(len(sample)):
                _same(decode(self._task(sample, chunk_size=size)), whole, f"chunks of {size}")

    def test_a_chunk_may_begin_at_any_byte_where_the_format_says_so(self) -> None:
        for sample in self.samples if self.cuts_anywhere else ():
            task = self._task(sample)
            whole = decode(task)
            for at in _places(len(sample), 64, self._random()):
                _same(_cut_at(task, at), whole, f"a cut at {at}")

    def test_records_are_the_same_whatever_the_batches(self) -> None:
        for sample in self.samples:
            whole = decode(self._task(sample))
            # 1: a step a record. With a haul's own batches each sample would be one step.
            for size in (1, 100, 10_000):
                _same(decode(self._task(sample, batch_bytes=size)), whole, f"batches of {size} bytes")

    def test_records_are_the_same_in_another_process(self) -> None:
        task = self._task(self.samples[-1])
        assert digest_elsewhere(task) == decode(task).digest

    def test_damage_is_a_reject_and_never_an_error(self) -> None:
        for damaged, how in self._damaged():
            try:
                found = decode(self._task(damaged))
            # Any other exception is taken for a bug, and stops the haul for the sake of one record.
            except Exception as error:
                raise AssertionError(f"{how}: {type(error).__name__}: {error}") from error
            _same(decode(self._task(damaged, batch_bytes=1)), found, how)

    def test_damage_is_a_decode_error_where_the_job_says_fail(self) -> None:
        for damaged, how in self._damaged():
            found = decode(self._task(damaged))
            error = self._strict_error(damaged)
            assert (error is not None) == bool(found.rejects), f"{how}: {found.rejects}, and then {error}"
            assert str(error).isprintable(), f"{how}: {error!r}"

    def test_memory_is_bounded_whatever_the_object(self) -> None:
        content = self.huge or self.too_large
        assert content is not None, "say `huge` or `too_large`"
        assert content.size >= 2 * self.memory, "an object of that size shows nothing"
        # A sample first, so that what importing the decoder costs is not taken for growth.
        grown, records = growth_elsewhere([self._task(self.samples[0]), self._task(content)])
        assert records, "nothing came of it, neither a record nor a reject"
        assert self.huge is not None or records == 1, (
            f"{records} records and rejects of one that is too large"
        )
        assert grown <= self.memory, f"{grown / _MIB:.0f} MiB for {content.size / _MIB:.0f} MiB"

    def _task(self, content: bytes | Repeated, *, chunk_size: int | None = None, **settings: Any) -> Task:
        options, fields = dict(self.options), dict(self.fields)
        given = DecodeSettings(self.schema, options=options, fields=fields, **settings)
        return Task(self.format, self.path, content, given, chunk_size)

    def _strict_error(self, content: bytes) -> DecodeError | None:
        try:
            decode(self._task(content, on_damage="fail", on_drift="fail"))
        except DecodeError as error:
            return error
        return None

    def _random(self) -> random.Random:
        # By the name, so that a failure comes again, and other formats meet other damage.
        return random.Random(self.format)

    def _damaged(self) -> Iterator[tuple[bytes, str]]:
        """Samples that lost their end, a byte or a stretch, or have a bit turned; and what is no object."""
        draw = self._random()
        for sample in self.samples:
            for at in _places(len(sample), 12, draw):
                yield sample[:at], f"cut off at {at}"
                yield sample[:at] + sample[at + 1 + draw.randrange(40) :], f"a stretch missing at {at}"
                if at < len(sample):
                    bit = 1 << draw.randrange(8)
                    turned = bytes([sample[at] ^ bit])
                    yield sample[:at] + turned + sample[at + 1 :], f"bit {bit} turned at {at}"
            yield sample + sample, "twice"
        for length in (1, 100, 5000):
            yield draw.randbytes(length), f"{length} bytes of noise"
            yield bytes(length), f"{length} zeros"


def _cut_at(task: Task, at: int) -> Outcome:
    """As `decode`, of two chunks."""
    from skyhaul.testing.objects import CheckedBytes, pinned

    assert isinstance(task.content, bytes)
    decoder = task.decoder()
    obj = pinned(task.path, len(task.content))
    found = Outcome()
    for offset, stop in ((0, at), (at, obj.size)):
        if offset < stop:
            chunk = Chunk(0, 0, obj, offset, stop - offset)
            for step in decoder.decode(CheckedBytes(task.content, chunk)):
                found.add(step)
    return found.settle()


def _same(found: Outcome, whole: Outcome, how: str) -> None:
    assert found.rows == whole.rows, f"{how}: other records"
    assert found.rejects == whole.rejects, f"{how}: other rejects"
    assert (found.damaged, found.passed_over, found.nulled) == (
        whole.damaged,
        whole.passed_over,
        whole.nulled,
    ), f"{how}: other counts"


def _chunk_sizes(size: int) -> list[int]:
    return sorted({1, 7, 100, max(1, size // 3), max(1, size - 1), size + 1})


def _partition(cut: Sequence[Chunk], size: int) -> list[tuple[int, int]]:
    """What `cut` must be: from 0 to `size` without a gap, and no empty chunk but that of an empty object."""
    borders = [0, *(chunk.offset for chunk in cut[1:]), size]
    spans = [(start, stop - start) for start, stop in pairwise(borders)]
    assert all(length > 0 for _, length in spans) or size == 0, f"chunks {spans} of {size} bytes"
    return spans


def _check_segments(segments: Sequence[tuple[int, int]], chunk: Chunk) -> None:
    size = chunk.object.size
    assert all(start >= 0 and length > 0 and start + length <= size for start, length in segments), segments
    assert all(a + n <= b for (a, n), (b, _) in pairwise(segments)), f"{segments} are not rising and apart"


def _places(size: int, count: int, draw: random.Random) -> list[int]:
    """Some places of an object of `size` bytes, its ends among them."""
    return sorted({0, 1, size - 1, *(draw.randrange(size + 1) for _ in range(count))} & set(range(size + 1)))
