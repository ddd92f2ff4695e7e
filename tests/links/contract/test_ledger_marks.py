"""A ledger that has become empty, or another one, is noticed, and what it knew is counted again."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from skyhaul_connectors.links.contract.ledger import Ledger, Used
from skyhaul_connectors.links.contract.ledger_marks import LedgerMarks

ACCOUNT, CYCLE = "leo", "2026-11"


def spend(path: Path, counted: int, free: int = 0) -> Used:
    with closing(Ledger(path)) as ledger:
        ledger.settle(ACCOUNT, CYCLE, counted=counted, free=free, want=0, cap=None)
        return ledger.used(ACCOUNT, CYCLE)


@pytest.mark.parametrize("kept", [0, 1])
def test_either_mark_alone_remembers(kept: int, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "state").mkdir()
    marks = LedgerMarks(tmp_path / "state" / "l", tmp_path / "spool")
    marks.note(ACCOUNT, CYCLE, Used(500, 20, 7))
    for number, path in enumerate(marks.paths):
        assert path.exists()
        if number != kept:
            path.unlink()
    assert marks.known(ACCOUNT, CYCLE) == Used(500, 20)
    assert marks.known(ACCOUNT, "2026-12") == Used()
    assert marks.known("other", CYCLE) == Used()


def test_a_mark_never_falls_within_a_cycle_and_forgets_the_one_before(tmp_path: Path) -> None:
    marks = LedgerMarks(tmp_path / "l", None)
    marks.note(ACCOUNT, CYCLE, Used(500))
    marks.note(ACCOUNT, CYCLE, Used(100))
    assert marks.known(ACCOUNT, CYCLE).counted == 500
    marks.note(ACCOUNT, "2026-12", Used(1))
    assert marks.known(ACCOUNT, "2026-12").counted == 1
    assert marks.known(ACCOUNT, CYCLE).counted == 0


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"leo": 5}', b'{"leo": {"cycle": "2026-11"}}', b"\xff"]
)
def test_a_mark_that_cannot_be_read_says_nothing(content: bytes, tmp_path: Path) -> None:
    marks = LedgerMarks(tmp_path / "l", None)
    marks.paths[0].write_bytes(content)
    assert marks.known(ACCOUNT, CYCLE) == Used()


def test_a_mark_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    marks = LedgerMarks(tmp_path / "gone" / "l", tmp_path / "gone too")
    marks.note(ACCOUNT, CYCLE, Used(5))
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_takes_back_what_it_lost_once(tmp_path: Path) -> None:
    path = tmp_path / "l"
    before = spend(path, 900, 30)
    for leftover in tmp_path.iterdir():
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    assert spend(path, 100) == Used(100)
    with closing(Ledger(path)) as ledger:
        for _ in range(2):
            ledger.restore(ACCOUNT, CYCLE, before)
            assert ledger.used(ACCOUNT, CYCLE) == Used(900, 30)
