"""Decode an object in this process or another one, and keep all that came out.

`python -m skyhaul.testing.decoding` is that other process: it reads Tasks as a pickle from its standard input
and writes what it found as JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from skyhaul.testing.objects import CheckedBytes, Repeated, RepeatedChunk, pinned
from skyhaul_connectors.formats.protocol import Decoded, Decoder, DecodeSettings, Reject
from skyhaul_connectors.formats.registry import decoder_for
from skyhaul_schemas.plan import Chunk
from skyhaul_schemas.records import RAW_CAP, decoded_schema

__all__ = ["Task", "decode"]


@dataclass(frozen=True, slots=True)
class Task:
    """One object to decode.

    Attributes:
        format: Name of the format.
        path: The object's path below its source.
        content: Its bytes.
        settings: What the job says.
        chunk_size: Bytes of a chunk for `Decoder.cut`; None: one chunk.
    """

    format: str
    path: str
    content: bytes | Repeated
    settings: DecodeSettings
    chunk_size: int | None = None

    def decoder(self) -> Decoder:
        return decoder_for(self.format, self.settings, self.path)


@dataclass(slots=True)
class Outcome:
    """What came of an object; equal for equal bytes, however they were cut and batched."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    damaged: bool = False
    passed_over: dict[str, int] = field(default_factory=dict)
    nulled: dict[str, int] = field(default_factory=dict)

    def add(self, step: Decoded) -> None:
        self.rows += step.batch.to_pylist()
        self.rejects += step.rejects
        self.damaged |= step.damaged
        for passed in step.passed_over:
            self.passed_over[passed.reason] = self.passed_over.get(passed.reason, 0) + passed.count
        for reason, count in step.nulled.items():
            self.nulled[reason] = self.nulled.get(reason, 0) + count

    def settle(self) -> Outcome:
        """Rejects in the order of the object: chunks may tell them in another one."""
        self.rejects.sort(key=lambda r: (r.offset, r.length, r.reason, r.raw))
        return self

    @property
    def digest(self) -> str:
        # repr and not ==: NaN equals nothing, and two processes have to compare.
        return hashlib.sha256(repr(self).encode("utf-8", "surrogatepass")).hexdigest()


def decode(task: Task) -> Outcome:
    """Decode all chunks of the object, in order.

    Raises:
        AssertionError: A step breaks the contract of `Decoded`.
        Exception: Whatever the decoder raises.
    """
    assert isinstance(task.content, bytes)
    decoder = task.decoder()
    found = Outcome()
    for chunk in chunks(task, decoder):
        for step in decoder.decode(CheckedBytes(task.content, chunk)):
            _check(step, task)
            found.add(step)
    return found.settle()


def chunks(task: Task, decoder: Decoder) -> list[Chunk]:
    """The object's chunks as the decoder cuts it."""
    size = len(task.content) if isinstance(task.content, bytes) else task.content.size
    obj = pinned(task.path, size)
    if task.chunk_size is None:
        return [Chunk(0, 0, obj, 0, size)]

    def read(offset: int, length: int) -> bytes:
        if isinstance(task.content, bytes):
            return task.content[offset : offset + length]
        return task.content.read(offset, length)

    spans = decoder.cut(obj, task.chunk_size, read)
    return [Chunk(0, index, obj, offset, length) for index, (offset, length) in enumerate(spans)]


def _check(step: Decoded, task: Task) -> None:
    wanted = decoded_schema(task.settings.schema)
    assert step.batch.schema.equals(wanted), f"a batch of {step.batch.schema}, not of {wanted}"
    # Arrow believes whoever builds a batch: without this a bad offset shows in some later kernel.
    step.batch.validate(full=True)
    # By place: a schema of the job's own may have columns of these names, too.
    for name, column in (("offset", -2), ("length", -1)):
        values = step.batch.column(column).to_pylist()
        assert all(value is not None and value >= 0 for value in values), f"a record's {name} is {values}"
    for reject in step.rejects:
        assert reject.offset >= 0, reject
        assert reject.length >= 0, reject
        assert len(reject.raw) <= RAW_CAP, f"{len(reject.raw)} bytes of raw, more than {RAW_CAP}"
        assert reject.reason, "a reject without a reason"
        assert reject.reason.isprintable(), f"a reason that no log line may hold: {reject.reason!r}"
    for passed in step.passed_over:
        assert passed.count > 0, passed
        assert passed.reason.isprintable(), passed


def digest_elsewhere(task: Task) -> str:
    """Outcome.digest of a process of its own, with other hashes of strings than here."""
    # Another seed gives sets of strings another order: what takes its records from a set is found out.
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    answer: str = _elsewhere([task], {"PYTHONHASHSEED": seed})["digest"]
    return answer


def growth_elsewhere(tasks: Iterable[Task]) -> tuple[int, int]:
    """Decode all of `tasks` in a process of its own, keeping nothing.

    Returns:
        How much its peak resident memory (bytes) grew from before the last one to the end, and how many
        records and rejects the last one gave.
    """
    # The tasks before the last one import modules and fill pools, which is not what is asked.
    answer = _elsewhere(list(tasks), {})
    return answer["grown"], answer["records"]


def _elsewhere(tasks: list[Task], env: Mapping[str, str]) -> dict[str, Any]:
    # A new process, not a fork, which would have this one's memory and its peak. Its import path is that of
    # here: the format may be of a package that only this process can find.
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=pickle.dumps(tasks),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **env},
        check=True,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _peak() -> int:
    """Bytes of resident memory at most so far (Linux counts KiB, macOS bytes)."""
    # What the process had, not what Python's allocator knows of: Arrow's pools and C libraries are in it.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main() -> None:
    tasks: list[Task] = pickle.load(sys.stdin.buffer)
    answer: dict[str, Any] = {}
    for task in tasks:
        before, records = _peak(), 0
        if isinstance(task.content, bytes):
            found = decode(task)
            records, answer["digest"] = len(found.rows) + len(found.rejects), found.digest
        else:
            decoder = task.decoder()
            for chunk in chunks(task, decoder):
                for step in decoder.decode(RepeatedChunk(task.content, chunk)):
                    records += step.batch.num_rows + len(step.rejects)
        answer.update(grown=_peak() - before, records=records)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    _main()
