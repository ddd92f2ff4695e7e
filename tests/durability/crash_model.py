"""What a disk may hold after the power failed, by POSIX and no more (the model of ALICE: Pillai et al.,
OSDI 2014).

A file's bytes last once the file was synced after they were written; a name lasts once its folder was
synced after it was made, moved or taken away. Anything else may be there or not, in any combination,
whatever came first. A rename is whole or not at all. Nothing is learned from what a particular filesystem
does besides.
"""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from durability.trace import Call

FOLDER = -1
"""Stands where a name's node is, for a folder."""

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Op:
    """One recorded change, or a sync. names: (path, node now under it, None for none), all at once. node:
    whose bytes it changes or syncs. folder: which folder it syncs. Bytes: `data` at `offset`; with `cut`,
    everything from `offset` on goes, with `hole` that many bytes become zeros."""

    site: tuple[str, str]
    names: tuple[tuple[str, int | None], ...] = ()
    node: int | None = None
    folder: str | None = None
    offset: int = 0
    data: bytes = b""
    cut: bool = False
    hole: int = 0
    sync: bool = False
    external: bool = False
    """Somebody else's, between two processes of ours."""

    @property
    def changes(self) -> bool:
        return not self.sync


@dataclass(frozen=True, slots=True)
class Crash:
    """The power fails after `prefix` ops; of these the `lost` never reached the disk, of op `torn` only a
    part."""

    prefix: int
    lost: frozenset[int] = frozenset()
    torn: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """What is there: files by path, and folders."""

    files: dict[str, bytes]
    folders: frozenset[str]

    def digest(self) -> bytes:
        """Equal for equal disks."""
        whole = hashlib.blake2b(repr(sorted(self.folders)).encode(), digest_size=16)
        for path, data in sorted(self.files.items()):
            whole.update(repr((path, len(data))).encode())
            whole.update(data)
        return whole.digest()


@dataclass
class History:
    """All that happened to a folder, from a state that lasts."""

    base: dict[str, bytes]
    folders: frozenset[str]
    ops: list[Op] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._nodes = len(self.base)
        self._base_names = {path: node for node, path in enumerate(self.base)}
        self._base_bytes = dict(enumerate(self.base.values()))
        self._names: dict[str, int] = self._base_names | dict.fromkeys((*self.folders, ""), FOLDER)

    def add(self, calls: Iterable[Call]) -> None:
        """What one process did."""
        nodes: dict[int, int] = {}
        for call in calls:
            if not call.error and not _passing(call.path) and not _passing(call.other):
                self.ops.extend(self._ops(call, nodes))
        self.ends.append(len(self.ops))

    def rewrite(self, path: str, data: bytes) -> None:
        """Somebody else changed or made a file between two processes, for good."""
        made: list[Op] = []
        if path not in self._names:
            self._names[path] = self._new()
            made.append(Op(("", path), names=((path, self._names[path]),), external=True))
            made.append(Op(("", path), folder=parent(path), sync=True, external=True))
        node = self._names[path]
        made.append(Op(("", path), node=node, cut=True, external=True))
        made.append(Op(("", path), node=node, data=data, external=True))
        made.append(Op(("", path), node=node, sync=True, external=True))
        self.ops.extend(made)

    def _ops(self, call: Call, nodes: dict[int, int]) -> Iterator[Op]:
        site, path = call.site, call.path
        if call.name in ("open", "create"):
            if call.nameless:
                nodes[call.opening] = self._new()
            elif call.name == "create":
                nodes[call.opening] = self._names[path] = self._new()
                yield Op(site, names=((path, nodes[call.opening]),))
            elif path in self._names:
                nodes[call.opening] = self._names[path]
                if call.flags & os.O_TRUNC:
                    yield Op(site, node=nodes[call.opening], cut=True)
        elif call.name in ("write", "pwrite"):
            yield Op(site, node=nodes[call.opening], offset=call.offset, data=call.data)
        elif call.name == "truncate":
            yield Op(site, node=nodes[call.opening], offset=call.length, cut=True)
        elif call.name == "punch":
            yield Op(site, node=nodes[call.opening], offset=call.offset, hole=call.length)
        elif call.name in ("fsync", "fdatasync"):
            node = nodes[call.opening]
            yield Op(site, sync=True, folder=path) if node == FOLDER else Op(site, sync=True, node=node)
        else:
            yield from self._named(call)

    def _named(self, call: Call) -> Iterator[Op]:
        names: list[tuple[str, int | None]] = []
        if call.name == "link":
            names = [(call.other, self._names[call.path])]
        elif call.name == "rename":
            names = [(call.path, None), (call.other, self._names[call.path])]
        elif call.name in ("unlink", "rmdir"):
            names = [(call.path, None)]
        elif call.name == "mkdir":
            names = [(call.path, FOLDER)]
        for path, node in names:
            if node is None:
                self._names.pop(path, None)
            else:
                self._names[path] = node
        if names:
            yield Op(call.site, names=tuple(names))

    def _new(self) -> int:
        self._nodes += 1
        return self._nodes

    def until(self, prefix: int) -> History:
        """The history up to there, to which another process may add."""
        earlier = History(
            self.base, self.folders, self.ops[:prefix], [end for end in self.ends if end <= prefix]
        )
        earlier._nodes = self._nodes
        for op in earlier.ops:
            for path, node in op.names:
                if node is None:
                    earlier._names.pop(path, None)
                else:
                    earlier._names[path] = node
        return earlier

    def lasting(self, without: Collection[tuple[str, str]] = ()) -> list[int]:
        """Of each op, the number of the sync after which it lasts; len(ops) for none, -1 of a sync itself.
        without: sites of syncs that are taken for none."""
        never = len(self.ops)
        bytes_at: dict[int, int] = {}
        names_at: dict[str, int] = {}
        found = [-1] * never
        for number in range(never - 1, -1, -1):
            op = self.ops[number]
            if op.sync:
                if op.site in without and not op.external:
                    continue
                if op.folder is not None:
                    names_at[op.folder] = number
                elif op.node is not None:
                    bytes_at[op.node] = number
            elif op.names:
                found[number] = names_at.get(parent(op.names[-1][0]), never)
            else:
                assert op.node is not None
                found[number] = bytes_at.get(op.node, never)
        return found

    def disk(self, crash: Crash) -> Disk:
        """What is there after the crash."""
        names: dict[str, int] = dict(self._base_names) | dict.fromkeys(self.folders, FOLDER)
        contents: dict[int, bytearray] = {}
        for number in range(crash.prefix):
            op = self.ops[number]
            if op.sync or number in crash.lost:
                continue
            if op.names:
                for path, node in op.names:
                    if node is None:
                        names.pop(path, None)
                    else:
                        names[path] = node
                continue
            assert op.node is not None
            content = contents.get(op.node)
            if content is None:
                content = contents[op.node] = bytearray(self._base_bytes.get(op.node, b""))
            _apply(content, op, torn=number == crash.torn)
        folders = {path for path, node in names.items() if node == FOLDER}
        there = {path for path in folders if all(up in folders for up in _ancestors(path))}
        files = {
            path: bytes(contents[node] if node in contents else self._base_bytes.get(node, b""))
            for path, node in names.items()
            if node != FOLDER and (not parent(path) or parent(path) in there)
        }
        return Disk(files, frozenset(there))

    def unsynced(self, prefix: int, lasting: list[int], since: int = 0) -> list[int]:
        """Ops from `since` on that a crash after `prefix` ops may lose."""
        return [n for n in range(since, prefix) if lasting[n] >= prefix]

    def step_of(self, prefix: int) -> int:
        """The process that was at work, or had just ended, after `prefix` ops."""
        return next((n for n, end in enumerate(self.ends) if prefix <= end), len(self.ends) - 1)


def crashes(history: History, seed: int, subsets: int) -> Iterator[Crash]:
    """Every prefix, whole, with its last write torn, and with all that was not synced lost; every single
    unsynced op lost, after each op that follows; and `subsets` of the unsynced at each prefix, drawn by the
    seed.

    A change of bytes that comes between is passed over as an instant for single losses: it makes nothing
    durable or visible that the next name, sync or end does not show too."""
    rng = random.Random(seed)
    lasting = history.lasting()
    for prefix in range(1, len(history.ops) + 1):
        last = history.ops[prefix - 1]
        if last.external:
            continue  # Nobody of ours was at work.
        yield Crash(prefix)
        if len(last.data) > 1:
            yield Crash(prefix, torn=prefix - 1)
        step = history.step_of(prefix)
        since = history.ends[step - 2] if step > 1 else 0
        open_ops = history.unsynced(prefix, lasting)
        if not open_ops:
            continue
        yield Crash(prefix, frozenset(open_ops))
        if last.names or last.sync or prefix in history.ends:
            for number in open_ops:
                if number >= since:
                    yield Crash(prefix, frozenset((number,)))
        for _ in range(subsets):
            lost = frozenset(n for n in open_ops if rng.random() < 0.5)
            kept_writes = [n for n in open_ops if n not in lost and len(history.ops[n].data) > 1]
            yield Crash(prefix, lost, rng.choice(kept_writes) if kept_writes and rng.random() < 0.3 else None)


def crashes_without(history: History, site: tuple[str, str]) -> Iterator[Crash]:
    """Crashes that only a sync of `site` rules out: all of what it alone makes last is lost, or one of it."""
    with_it, without = history.lasting(), history.lasting((site,))
    freed = [n for n, op in enumerate(history.ops) if op.changes and without[n] > with_it[n]]
    singles: list[Crash] = []
    for prefix in range(1, len(history.ops) + 1):
        lost = [n for n in freed if n < prefix and with_it[n] < prefix <= without[n]]
        if lost:
            yield Crash(prefix, frozenset(lost))
            worst = history.unsynced(prefix, without)
            if worst != lost:
                singles.append(Crash(prefix, frozenset(worst)))
            if len(lost) > 1:
                singles.extend(Crash(prefix, frozenset((n,))) for n in lost)
    yield from singles


def sites_of_syncs(history: History) -> list[tuple[str, str]]:
    return sorted({op.site for op in history.ops if op.sync and not op.external})


def describe(history: History, crash: Crash) -> str:
    """For people."""
    last = history.ops[crash.prefix - 1].site
    lost = ", ".join(_says(history, n) for n in sorted(crash.lost)[:6])
    more = f" and {len(crash.lost) - 6} more" if len(crash.lost) > 6 else ""
    torn = "" if crash.torn is None else f"; op {crash.torn} torn"
    return f"after op {crash.prefix} ({' '.join(last)}){f'; lost: {lost}{more}' if lost else ''}{torn}"


def _says(history: History, number: int) -> str:
    return f"{number} {' '.join(history.ops[number].site)}"


def parent(path: str) -> str:
    folder = str(PurePosixPath(path).parent)
    return "" if folder == "." else folder


def same_disk(ours: Mapping[str, bytes], theirs: Mapping[str, bytes]) -> list[str]:
    """Paths at which two disks differ."""
    return sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))


def _passing(path: str) -> bool:
    """What is for the moment: TMPDIR, and what SQLite's processes share, which it makes anew after a
    crash."""
    return path == "tmp" or path.startswith("tmp/") or path.endswith("-shm")


def _ancestors(path: str) -> Iterator[str]:
    while path := parent(path):
        yield path


def _apply(content: bytearray, op: Op, *, torn: bool) -> None:
    if op.cut:
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
    elif op.hole:
        end = min(len(content), op.offset + op.hole)
        if end > op.offset:
            content[op.offset : end] = bytes(end - op.offset)
    else:
        data = op.data
        if torn:
            half = len(data) // 2
            data = data[: half - half % SECTOR if half >= SECTOR else half]
        content.extend(bytes(max(0, op.offset - len(content))))
        content[op.offset : op.offset + len(data)] = data
