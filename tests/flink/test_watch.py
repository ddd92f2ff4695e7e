"""A haul whose workers are other processes is watched by what they commit."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from flink.rig import Haul, until, write_corpus
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul.hauling import watch
from skyhaul.hauling.config import HaulConfig
from skyhaul.hauling.progress import Hauling, NullObserver, Progress
from skyhaul.planning.store.plan import Plan


class LastSeen(NullObserver):
    seen: Hauling | None = None

    def __init__(self) -> None:
        self.said: list[str] = []

    def event(self, message: str) -> None:
        self.said.append(message)

    def progress(self, progress: Progress) -> None:
        assert isinstance(progress, Hauling)
        self.seen = progress


def test_commits_of_other_processes_are_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    haul = Haul(tmp_path / "haul", write_corpus(tmp_path / "notes", objects=8))
    assert haul.run() == 0
    store = open_store(haul.dataset, writable=False)
    plan = Plan.open(store)
    whole = survey(plan, store)
    before = dataclasses.replace(
        whole, shards_committed=0, shards_left=whole.shards, source_bytes_committed=0, records_present=0
    )
    config = HaulConfig("elsewhere", haul.dataset, haul.job.read_text(), str(haul.job))
    monkeypatch.setattr(watch, "LISTING_PERIOD", 0.1)
    observer = LastSeen()
    with watch.Watch(config, plan.header, before, observer, time.monotonic(), remote=True):
        until(lambda: observer.seen is not None and observer.seen.shards_committed == whole.shards, 20)
    assert observer.seen
    assert observer.seen.source_bytes_done == plan.header.source_bytes
    plan.close()


def test_a_haul_without_commits_is_said_to_be_silent_again_and_again_ever_rarer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    haul = Haul(tmp_path / "haul", write_corpus(tmp_path / "notes", objects=2))
    assert haul.run() == 0
    store = open_store(haul.dataset, writable=False)
    plan = Plan.open(store)
    config = HaulConfig("elsewhere", haul.dataset, haul.job.read_text(), str(haul.job))
    monkeypatch.setattr(watch, "LISTING_PERIOD", 0.01)
    monkeypatch.setattr(watch, "PERIOD", 0.01)
    monkeypatch.setattr(watch, "QUIET", 0.1)
    observer = LastSeen()
    begun = time.monotonic()
    with watch.Watch(config, plan.header, survey(plan, store), observer, begun, remote=True):
        until(lambda: len(observer.said) == 3, 20)
    assert time.monotonic() - begun >= 0.1 * 2 * 2
    assert all("no shard was committed" in line and "same command" in line for line in observer.said)
    plan.close()
