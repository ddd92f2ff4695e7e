"""What crosses to the workers: references and settings, no secrets, nothing live."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HaulConfig:
    """One haul, as every process of it sees it. Pickled by reference into the pipeline.

    run: the haul's id, one for all processes. dataset: path or URL. job_text: the job file as written,
    with `${NAME}` unresolved; each process reads its own environment. job_origin: the file's name for
    messages. only: the shards of a replay, or None for all that are pending. epoch: wall clock (s since
    1970) that emulated links and relative contact windows start from. deadline: wall clock at which the
    time budget ends, or None. wait: sleep through closed contacts instead of deferring.
    remote: the workers are processes that a runner starts, several on a machine if it likes; each takes a
    spool folder that is free.
    due: wall clock at which the haul should be done, or None; left: source -> bytes that were not committed
    when it began.
    mend: the shards of `only` are committed, with broken files; haul them again and put those right.
    """

    run: str
    dataset: str
    job_text: str
    job_origin: str
    workers: int = 1
    only: frozenset[int] | None = None
    epoch: float = 0.0
    deadline: float | None = None
    wait: bool = False
    mend: bool = False
    remote: bool = False
    due: float | None = None
    left: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Lot:
    """Some shards for one worker: stretches [first, stop) of shard numbers. `share` is how many lots
    divide the connections that a source allows. divisible: a runner may give parts of it to other workers;
    not where they would meet on a link that one process has to itself."""

    stretches: tuple[tuple[int, int], ...]
    share: int = 1
    divisible: bool = True
