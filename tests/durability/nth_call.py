"""The n-th call fails, for every n: each call on files that a whole small haul makes, one after the other,
fails; what the command then says is held against what is there, and the next run has to end as if nothing
had been."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

from durability.scenario import Answer, Clean, Fault, Rehearsal, digests
from durability.trace import counted

TENTH = 10
EX_TEMPFAIL = 75
"""What a disk that fails in the course of a command is told by, on whichever side and at whichever step."""
TRIES = 2
"""Runs without a fault after which all must be right."""

SPOOL_DAMAGED = "to fetch its partial transfers again"
"""Of a message whose way out is to remove the spool, as it says itself."""


@dataclass(frozen=True, slots=True)
class State:
    step: int
    fault: Fault


@dataclass(frozen=True, slots=True)
class Verdict:
    """wrong: None where all went as it should. reached: whether the call was made at all."""

    state: State
    wrong: str | None
    reached: bool
    code: int
    again: tuple[int, ...]


def states(rehearsal: Rehearsal, seed: int) -> list[State]:
    """EIO for every call; for a tenth of them, by the seed, also a full disk, a spent quota, a write cut
    short, and a disk that is gone from then on."""
    rng = random.Random(seed)
    found: list[State] = []
    for number, clean in enumerate(rehearsal.steps):
        for (call, pattern), count in sorted(counted(clean.calls).items()):
            if pattern.startswith("src/") or not pattern:
                continue
            for nth in range(1, count + 1):
                found.append(State(number, Fault(call, pattern, nth, errno.EIO)))
                for fault in _others(call, pattern, nth):
                    if not rng.randrange(TENTH):
                        found.append(State(number, fault))
    return found


def _others(call: str, pattern: str, nth: int) -> Iterator[Fault]:
    for error in (errno.ENOSPC, errno.EDQUOT):
        yield Fault(call, pattern, nth, error)
        if call in ("write", "pwrite"):
            yield Fault(call, pattern, nth, error, half=True)
    for error in (errno.EIO, errno.ENOSPC):
        yield Fault(call, pattern, nth, error, on=True)


def judge(rehearsal: Rehearsal, state: State) -> Verdict:
    """Let the call fail, and look at what becomes of it."""
    clean = rehearsal.steps[state.step]
    rehearsal.restore(clean.before)
    hurt = rehearsal.server.run(*clean.step.arguments, fault=state.fault)
    wrong = _hurt(rehearsal, clean, hurt)
    again: list[Answer] = []
    if wrong is None:
        wrong = _recovers(rehearsal, clean, again)
    if wrong is not None:
        wrong = f"{clean.step.name}: {state.fault}: {wrong}; it had said {hurt}"
    return Verdict(state, wrong, hurt.hits > 0, hurt.code, tuple(answer.code for answer in again))


def _hurt(rehearsal: Rehearsal, clean: Clean, hurt: Answer) -> str | None:
    if hurt.is_bug:
        return "a bug"
    if hurt.code not in (EX_TEMPFAIL, clean.step.code):
        return f"exit code {hurt.code}"
    if hurt.code == 0:
        difference = other_bytes(rehearsal, clean)
        if difference:
            return f"0, and {difference}"
    return None


def _recovers(rehearsal: Rehearsal, clean: Clean, again: list[Answer]) -> str | None:
    for _ in range(TRIES):
        again.append(rehearsal.server.run(*clean.step.arguments))
        if again[-1].is_bug:
            return f"the next run has a bug: {again[-1]}"
        if again[-1].code == clean.step.code:
            break
        if SPOOL_DAMAGED in again[-1].err:
            shutil.rmtree(rehearsal.work / "spool")
    else:
        return f"the next runs end with {again[-1]}"
    difference = differs(rehearsal, clean)
    if difference:
        return f"in the end {difference}"
    proof = rehearsal.verify()
    if proof.code != clean.verify:
        return f"in the end verify says {proof}"
    return None


def differs(rehearsal: Rehearsal, clean: Clean) -> str | None:
    """What is otherwise in the dataset than after the clean step, once what went wrong is over."""
    return left_over(rehearsal) or other_bytes(rehearsal, clean)


def left_over(rehearsal: Rehearsal) -> str | None:
    leftover = next((rehearsal.work / "ds" / "_skyhaul").glob("tmp-*"), None)
    if leftover is not None:
        return f"{leftover.name} is left over with {sorted(path.name for path in leftover.iterdir())}"
    return None


def other_bytes(rehearsal: Rehearsal, clean: Clean) -> str | None:
    now = digests(rehearsal.work)
    for path in sorted(now.keys() | clean.after.keys()):
        if now.get(path) != clean.after.get(path):
            state = (
                "is too much"
                if path not in clean.after
                else "is missing"
                if path not in now
                else "has other bytes"
            )
            return f"{path} {state}"
    return None
