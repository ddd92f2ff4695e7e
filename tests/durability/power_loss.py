"""Power loss at every instant: what a whole small haul does to files is recorded, and replayed as the disks
that a crash may leave; each has to be sound, to hold what lasted before, and to become the clean run's
dataset again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from durability.crash_model import Crash, Disk, History, Op, crashes_without, describe, parent, same_disk
from durability.nth_call import TRIES, differs
from durability.scenario import Clean, Rehearsal
from durability.trace import read_trace
from skyhaul_schemas.layout import COMMITS, PLAN, SEALED


@dataclass(frozen=True, slots=True)
class Kept:
    """See `durability.kept`; one number by name."""

    numbers: dict[str, int]

    def least(self, other: Kept) -> Kept:
        names = self.numbers.keys() & other.numbers.keys()
        return Kept({name: min(self.numbers[name], other.numbers[name]) for name in names})

    def most(self, other: Kept) -> Kept:
        names = self.numbers.keys() | other.numbers.keys()
        return Kept({name: max(self.numbers.get(name, 0), other.numbers.get(name, 0)) for name in names})

    def lacks(self, promised: Kept) -> str | None:
        for name, number in sorted(promised.numbers.items()):
            if self.numbers.get(name, 0) < number:
                return f"{name} is {self.numbers.get(name, 0)}, and was to last as {number}"
        return None


def history_of(rehearsal: Rehearsal) -> History:
    """All steps in a row. Raises AssertionError where the recording does not make the disk that the haul
    left."""
    first = rehearsal.steps[0].before
    history = History(_files(first), frozenset())
    for number, clean in enumerate(rehearsal.steps):
        if number:
            then, now = _files(rehearsal.steps[number - 1].left), _files(clean.before)
            for path in same_disk(then, now):
                history.rewrite(path, now[path])
        history.add(clean.calls)
        made = history.disk(Crash(len(history.ops))).files
        assert same_disk(made, _files(clean.left)) == [], clean.step.name
    return history


class PowerLoss:
    """Judges crashes of a rehearsal's history."""

    def __init__(self, rehearsal: Rehearsal) -> None:
        self.rehearsal = rehearsal
        self.history = history_of(rehearsal)
        self._lasting = self.history.lasting()
        self._whole: dict[int, Kept] = {}
        self._promised: list[tuple[int, Kept]] = [(0, Kept({}))]
        self._told = b""

    def judge(self, crash: Crash) -> str | None:
        """What is wrong after the crash; None: nothing."""
        step = self.history.step_of(crash.prefix)
        wrong = self._judge(crash, self.rehearsal.steps[step])
        return None if wrong is None else f"{describe(self.history, crash)}: {wrong}"

    def at_exit(self, number: int) -> str | None:
        """What of the dataset a crash could take once step `number` has said how it ended; None: nothing."""
        missing = losable(self.history, self.history.ends[number])
        return (
            f"{self.rehearsal.steps[number].step.name} has ended, and may lose {missing}" if missing else None
        )

    def missed(self, site: tuple[str, str]) -> tuple[str | None, int]:
        """What goes wrong where every sync of `site` is taken for none, and how many disks were looked at."""
        for number in range(len(self.rehearsal.steps)):
            missing = losable(self.history, self.history.ends[number], (site,))
            if missing:
                return f"{self.rehearsal.steps[number].step.name} has ended, and may lose {missing}", 1
        tried = 0
        for crash in distinct(self.history, crashes_without(self.history, site)):
            tried += 1
            wrong = self.judge(crash)
            if wrong is not None:
                return wrong, tried
        return None, tried

    def kills(self) -> list[int]:
        """Instants for `judge_kill`: after each op that gave or took a name that is not of the moment.

        What the scenario itself puts between two commands is no op of theirs, and nothing they answer for."""
        return [
            number + 1 for number, op in enumerate(self.history.ops) if _is_lasting(op) and not op.external
        ]

    def judge_kill(self, prefix: int) -> str | None:
        """The process is killed after `prefix` ops, the next run ends well, and then the power fails: what
        is wrong. What the dead one had not synced may be lost then, though the next one found it there."""
        clean = self.rehearsal.steps[self.history.step_of(prefix)]
        log = self.rehearsal.root / "calls-after-kill"
        log.unlink(missing_ok=True)
        self._put(self.history, Crash(prefix), clean)
        again = self.rehearsal.server.run(*clean.step.arguments, record=log)
        said = f"killed {describe(self.history, Crash(prefix))}, and run again"
        if again.code != clean.step.code:
            return f"{said}: it ends with {again}"
        history = self.history.until(prefix)
        history.add(read_trace(log))
        end = len(history.ops)
        missing = losable(history, end)
        if missing:
            return f"{said}: at its end it may lose {missing}"
        for number in history.unsynced(end, history.lasting()):
            if number < prefix and _is_lasting(history.ops[number]):
                crash = Crash(end, frozenset((number,)))
                self._put(history, crash, clean)
                wrong = self._sound(clean) or self._recovers(clean)
                if wrong:
                    return f"{said}: {describe(history, crash)}: {wrong}"
        return None

    def _judge(self, crash: Crash, clean: Clean) -> str | None:
        promised = self.promised(crash.prefix)
        self._put(self.history, crash, clean)
        kept = self._kept()
        if isinstance(kept, str):
            return kept
        if kept.lacks(promised):
            # The haul itself may have let go of it.
            lack = kept.lacks(promised.least(self._kept_whole(crash.prefix)))
            if lack is not None:
                return lack
        self._put(self.history, crash, clean)
        return self._sound(clean) or self._recovers(clean)

    def _sound(self, clean: Clean) -> str | None:
        """A crash leaves no finding for `verify`, but the damage that was there."""
        if not (self.rehearsal.work / "ds" / "_skyhaul" / "plan" / "shards.parquet").exists():
            return None
        proof = self.rehearsal.server.run("verify", "--deep", "job.yaml")
        allowed = {0, 3, 75} | ({4} if clean.step.name == "replay" else set())
        return None if proof.code in allowed else f"verify says {proof}"

    def _recovers(self, clean: Clean) -> str | None:
        for _ in range(TRIES):
            again = self.rehearsal.server.run(*clean.step.arguments)
            if again.is_bug:
                return f"the next run has a bug: {again}"
            if again.code == clean.step.code:
                break
        else:
            return f"the next runs end with {again}"
        difference = differs(self.rehearsal, clean)
        if difference:
            return f"in the end {difference}"
        proof = self.rehearsal.verify()
        return None if proof.code == clean.verify else f"in the end verify says {proof}"

    def promised(self, prefix: int) -> Kept:
        """What lasted at some instant up to `prefix`, whatever was lost: it grows with each sync."""
        at, promised = self._promised[-1]
        while at < prefix:
            at += 1
            if not self.history.ops[at - 1].sync:
                self._promised.append((at, promised))
                continue
            lost = frozenset(self.history.unsynced(at, self._lasting))
            telling = _telling(self.history.disk(Crash(at, lost)))
            if telling != self._told:
                self._told = telling
                self._put(self.history, Crash(at, lost), self.rehearsal.steps[self.history.step_of(at)])
                kept = self._kept()
                if isinstance(kept, Kept):
                    promised = promised.most(kept)
            self._promised.append((at, promised))
        return self._promised[prefix][1]

    def _kept_whole(self, prefix: int) -> Kept:
        found = self._whole.get(prefix)
        if found is None:
            self._put(self.history, Crash(prefix), self.rehearsal.steps[self.history.step_of(prefix)])
            kept = self._kept()
            found = self._whole[prefix] = Kept({}) if isinstance(kept, str) else kept
        return found

    def _kept(self) -> Kept | str:
        answer = self.rehearsal.server.call("kept")
        if answer.code:
            return f"what is kept cannot be read: {answer}"
        found = json.loads(answer.out)
        shards = {f"shard {number}": size for number, size in found["shards"].items()}
        if found["counted"] < sum(shards.values()):
            return f"the ledger counts {found['counted']} bytes, and {sum(shards.values())} are here"
        return Kept({"plans": found["plans"], "ledger": found["booked"], **shards})

    def _put(self, history: History, crash: Crash, clean: Clean) -> None:
        """Make the working folder what the crash leaves, beside the region as the step saw it."""
        work = self.rehearsal.work
        disk = history.disk(crash)
        shutil.rmtree(work)
        work.mkdir()
        shutil.copytree(clean.before / "src", work / "src")
        for folder in sorted(disk.folders):
            (work / folder).mkdir(parents=True, exist_ok=True)
        for path, data in disk.files.items():
            (work / path).write_bytes(data)


def distinct(history: History, found: Iterable[Crash]) -> Iterator[Crash]:
    """Of crashes that leave the same disk to the same step, the first."""
    seen: set[tuple[int, bytes]] = set()
    for crash in found:
        state = (history.step_of(crash.prefix), history.disk(crash).digest())
        if state not in seen:
            seen.add(state)
            yield crash


def losable(history: History, prefix: int, without: Collection[tuple[str, str]] = ()) -> list[str]:
    """Files of the dataset that a crash could take or change after `prefix` ops. without: see `lasting`."""
    whole = _lasting_files(history.disk(Crash(prefix)).files)
    lost = frozenset(history.unsynced(prefix, history.lasting(without)))
    worst = _lasting_files(history.disk(Crash(prefix, lost)).files)
    return [path for path in same_disk(whole, worst) if path in whole]


def _telling(disk: Disk) -> bytes:
    """Changes with what `durability.kept` looks at."""
    looked_at = ("spool/", "ledger.", "ds/_skyhaul/job", *(f"ds/{f}/" for f in (PLAN, COMMITS, SEALED)))
    return Disk(
        {path: data for path, data in disk.files.items() if path.startswith(looked_at)}, frozenset()
    ).digest()


def _is_lasting(op: Op) -> bool:
    return any("/tmp-" not in path for path, _ in op.names)


def _files(folder: Path) -> dict[str, bytes]:
    """What is durable of a folder: all files but those of the region, of TMPDIR, and SQLite's shared
    memory."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        passing = name.startswith(("tmp/", "src/")) or name.endswith("-shm")
        if path.is_file() and not passing:
            found[name] = path.read_bytes()
    return found


def _lasting_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Of the dataset, what is not of the moment."""
    return {
        path: data for path, data in files.items() if path.startswith("ds/") and "/tmp-" not in parent(path)
    }
