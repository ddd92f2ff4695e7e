"""A whole small haul in steps, each a command that begins from a known state: plan, run into a changed
object, amend, run, extend, run (groups are sealed), damage, replay."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from durability.trace import Call, build, read_trace

GROUP_SIZE = 3
"""Shards of a group here, so that a haul of a dozen fills some."""

CHANGED = 1
"""The shard of the object that changes."""

STAMP = 1_700_000_000 * 10**9
"""Every object's mtime, ns since 1970: it is part of the plan."""

JOB = """\
version: 1
name: small
dataset: ds
spool: spool
ledger: ledger.sqlite
seed: 3
sources:
  s:
    url: src/*.jsonl
    fields: {text: body, source_id: id}
    via: [leo]
links:
  leo: {preset: leo-remote, emulate: true, down: 200Mbit/s, rtt: 1ms, loss: 0%, seed: 1, cap: 1TB/month}
shards: {target_size: 6kB, chunk_size: 6kB, splits: {train: 0.8, validation: 0.2}}
"""

BUGS = {1, 99, -999}


@dataclass(frozen=True, slots=True)
class Fault:
    """The `nth` call (from 1) of `call` on a path like `pattern` fails with `error`. on: so does every
    later call on any file of the haul, until the process ends. half: the write before it is cut short."""

    call: str
    pattern: str
    nth: int
    error: int
    on: bool = False
    half: bool = False

    def __str__(self) -> str:
        more = (", and all from then on" if self.on else "") + (", half written" if self.half else "")
        return f"{self.call} {self.nth} of {self.pattern}: {os.strerror(self.error)}{more}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command did. hits: how many calls failed on purpose."""

    code: int
    out: str
    err: str
    hits: int

    @property
    def is_bug(self) -> bool:
        said = self.err + self.out
        return self.code in BUGS or self.code < 0 or "Traceback" in said or "this is a bug" in said

    def __str__(self) -> str:
        return f"{self.code} {(self.err or self.out).strip()[-600:]}"


class Server:
    """A fork server over one working folder."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.folder = folder
        environment = os.environ | {
            "LD_PRELOAD": str(library),
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("server.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip
        self._line()

    def run(self, *arguments: str, record: Path | None = None, fault: Fault | None = None) -> Answer:
        """The program with `arguments`."""
        return self._ask(arguments=arguments, record=record, fault=fault)

    def call(self, function: str, *arguments: str) -> Answer:
        """A function of `durability.kept`."""
        return self._ask(function=function, arguments=arguments)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, record: Path | None = None, fault: Fault | None = None, **request: Any) -> Answer:
        request |= {"folder": str(self.folder), "group_size": GROUP_SIZE}
        if record is not None:
            request["record"] = str(record)
        if fault is not None:
            request["fail"] = [fault.call, fault.pattern, fault.nth, fault.error, fault.on, fault.half]
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._line()
        return Answer(answer["code"], answer["out"], answer["err"], answer["hits"])

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fork server is gone: {self._process.wait()}")
        return json.loads(line)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what happens to the region or the dataset before it, and its exit code where nothing
    fails."""

    name: str
    arguments: tuple[str, ...]
    code: int
    prepare: Callable[[Path], None] = lambda folder: None


def write_object(folder: Path, number: int, version: int = 1, rows: int = 60) -> None:
    path = folder / "src" / f"f{number}.jsonl"
    lines = [
        json.dumps({"id": f"{number}-{row}", "body": f"{version} {row} of {number} " + "word " * 12})
        for row in range(rows)
    ]
    if number == 1:
        lines.insert(7, '{"id": broken')
    path.write_text("\n".join(lines) + "\n")
    stamp = STAMP + version * 10**9
    os.utime(path, ns=(stamp, stamp))


def _begin(folder: Path) -> None:
    (folder / "src").mkdir(parents=True)
    (folder / "job.yaml").write_text(JOB)
    for number in range(3):
        write_object(folder, number)


def _leave_stray(folder: Path) -> None:
    """What a crash between a shard's files and its commit record leaves of the shard as it was."""
    data = folder / "ds" / "data" / "0000"
    shutil.copy(data / "train-0000000-000.parquet", data / f"train-{CHANGED:07d}-000.parquet")


def _damage(folder: Path) -> None:
    path = sorted((folder / "ds" / "data").rglob("*.parquet"))[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


STEPS = (
    Step("plan", ("plan", "--quiet", "job.yaml"), 0, _begin),
    Step("run into a changed object", ("run", "--quiet", "job.yaml"), 3, lambda f: write_object(f, 2, 2, 70)),
    Step("amend", ("plan", "--amend", "--quiet", "job.yaml"), 0, _leave_stray),
    Step("run, and seal", ("run", "--quiet", "job.yaml"), 0),
    Step("extend", ("plan", "--extend", "--quiet", "job.yaml"), 0, lambda f: write_object(f, 3)),
    Step("run further", ("run", "--quiet", "job.yaml"), 0),
    Step("replay", ("replay", "--damaged", "--quiet", "job.yaml"), 0, _damage),
)


def digests(folder: Path, *parts: str) -> dict[str, str]:
    """sha256 by path of what one plan fixes byte for byte: the plan, the data, the rejects."""
    dataset = folder / "ds"
    return {
        str(path.relative_to(dataset)): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in parts or ("data", "_skyhaul/rejects", "_skyhaul/plan")
        for path in sorted((dataset / part).rglob("*"))
        if path.is_file()
    }


@dataclass(frozen=True, slots=True)
class Clean:
    """A step where nothing fails. before, left: copies of the folder as the step found and left it. after:
    digests. verify: the exit code of `verify --deep` afterwards. calls: what the step did to files."""

    step: Step
    before: Path
    left: Path
    after: dict[str, str]
    verify: int
    calls: list[Call]


class Rehearsal:
    """The whole haul, done once in `root` without a fault; and a fork server to do parts of it again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.work.mkdir(parents=True)
        self.server = Server(build(root), self.work)
        self.steps = [self._do(number, step) for number, step in enumerate(STEPS)]

    def __enter__(self) -> Rehearsal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.close()
        shutil.rmtree(self.root, ignore_errors=True)

    def restore(self, copy: Path) -> None:
        """Make the working folder as `copy`."""
        shutil.rmtree(self.work)
        shutil.copytree(copy, self.work)

    def verify(self) -> Answer:
        return self.server.run("verify", "--deep", "job.yaml")

    def _do(self, number: int, step: Step) -> Clean:
        step.prepare(self.work)
        before, left = self.root / f"before-{number}", self.root / f"left-{number}"
        shutil.copytree(self.work, before)
        log = self.root / f"calls-{number}"
        answer = self.server.run(*step.arguments, record=log)
        if answer.code != step.code:
            raise AssertionError(f"{step.name} ended with {answer}")
        calls = read_trace(log)
        log.unlink()
        shutil.copytree(self.work, left)
        return Clean(step, before, left, digests(self.work), self.verify().code, calls)
