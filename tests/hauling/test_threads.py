"""Threads beside a haul: what kills one in which others trust is told, and ends the haul."""

from __future__ import annotations

import time
from pathlib import Path

import fsspec
import pytest
from tests.cli.jobs import write_job
from tests.cli.program import call

from skyhaul.hauling.links.accounting import LinkAccounting
from skyhaul_connectors.links.clock import MonotonicClock
from skyhaul_connectors.links.profile.profile import LinkProfile
from skyhaul_connectors.links.shared_link import SharedLink
from skyhaul_connectors.links.sharing.sharing import Demand, SharedPace, Step
from skyhaul_connectors.sources.fsspec.source import FsspecFiles
from skyhaul_connectors.sources.memory.source import MemorySource
from skyhaul_connectors.sources.over_link.paced import PacedSource
from skyhaul_connectors.sources.protocol import Source
from skyhaul_connectors.transfer.engine_thread import EngineThread
from skyhaul_connectors.transfer.segment import Segment
from skyhaul_connectors.transfer.settings import EngineSettings, Lane, SourceLanes
from skyhaul_schemas.errors import UsageError


def engine_over(source: Source, spool: Path) -> EngineThread:
    lanes = {source.name: SourceLanes((Lane("sky", source),), 8)}
    return EngineThread(lanes, EngineSettings(spool, 1 << 40, 600.0, "0" * 64))


def wait(engine: EngineThread, source: Source) -> None:
    """For an object's bytes, five seconds at most."""
    until = time.monotonic() + 5
    segments = [Segment(obj, 0, obj.size) for obj in source.listing()]
    engine.fetch(0, source.name, segments).wait(0, lambda: time.monotonic() > until)


def test_a_filesystem_that_cannot_be_made_ends_the_haul_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec.filesystem("memory").pipe_file("/not-made/a.txt", b"text\n")
    job = write_job(tmp_path, source="memory://not-made/*.txt")
    assert call("plan", job).code == 0

    def refused(self: FsspecFiles) -> None:
        raise UsageError("source texts: memory:// needs a package that is not installed; see its page")

    monkeypatch.setattr(FsspecFiles, "_made", refused)
    began = time.monotonic()
    answer = call("run", job)
    assert answer.code == 2
    assert "memory:// needs a package that is not installed; see its page" in answer.err
    assert "bug" not in answer.err
    assert time.monotonic() - began < 15, "not the patience with a silent source"


def test_a_bug_in_the_accounting_ends_the_haul(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links would go on at old rates, with nobody to count what they carry."""

    def bug(self: LinkAccounting) -> None:
        raise ZeroDivisionError("a bug in the accounting")

    monkeypatch.setattr(LinkAccounting, "_obey", bug)
    source = MemorySource("far", {"a": b"abc"}, latency=3600.0)
    engine = engine_over(source, tmp_path)
    stopped: list[object] = []
    accounting = LinkAccounting(
        {}, engine, ledger=None, folder=tmp_path, run="r", groups=[], due=None, stop=stopped.append
    )
    with pytest.raises(ZeroDivisionError, match="a bug in the accounting"):
        wait(engine, source)
    assert stopped == []
    accounting.close()
    engine.close()


class Buggy:
    """An arrangement with a bug."""

    closed = False

    def step(self, now: float, demand: Demand) -> Step:
        raise ZeroDivisionError("a bug in an arrangement")

    def close(self) -> None:
        self.closed = True


def test_a_bug_where_grants_are_asked_for_ends_the_haul(tmp_path: Path) -> None:
    """Whatever waits for a grant would wait for ever."""
    clock = MonotonicClock()
    link = SharedLink("sky", LinkProfile(down=1e6, up=1e6, rtt=0.0), clock, emulate=False)
    sharing = Buggy()
    link.pacer = SharedPace("sky", sharing, clock, 1e6)
    source = PacedSource(MemorySource("far", {"a": b"abc"}), link)
    engine = engine_over(source, tmp_path)
    with pytest.raises(ZeroDivisionError, match="a bug in an arrangement"):
        wait(engine, source)
    link.close()
    engine.close()
    assert sharing.closed
