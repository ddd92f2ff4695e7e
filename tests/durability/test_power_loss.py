"""Whenever the power fails, and whatever of the unsynced is lost then, what lasted lasts, `verify` finds
nothing, and the next run ends with the clean run's bytes; and without any one of our syncs that would not
be so."""

from __future__ import annotations

import random

import pytest

from durability.crash_model import crashes, sites_of_syncs
from durability.power_loss import PowerLoss, distinct
from durability.scenario import STEPS, Rehearsal

from .conftest import Campaign

Site = tuple[str, str]


@pytest.fixture(scope="module")
def power_loss(rehearsal: Rehearsal) -> PowerLoss:
    """Its making holds the recording against the disk that the haul left, step by step."""
    return PowerLoss(rehearsal)


def ours(site: Site) -> bool:
    """Whether the sync is one of this program's. SQLite has its own, of the database, its rollback journal
    and its folders (fdatasync), by a protocol that is its own; that of its log at each commit is ours to
    ask for."""
    call, path = site
    if path.endswith((".sqlite", ".sqlite-journal")):
        return False
    return call == "fsync" or path.endswith((".bytes", ".sqlite-wal"))


@pytest.mark.parametrize("number", range(len(STEPS)), ids=[step.name for step in STEPS])
def test_what_a_command_said_that_it_did_is_on_the_disk(power_loss: PowerLoss, number: int) -> None:
    assert power_loss.at_exit(number) is None


def test_some_power_losses(power_loss: PowerLoss, seed: int, campaign: Campaign) -> None:
    history = power_loss.history
    found = [crash for crash in crashes(history, seed, subsets=1) if crash.prefix <= history.ends[1]]
    random.Random(seed).shuffle(found)
    chosen = [crash for _, crash in zip(range(4), distinct(history, found), strict=False)]
    campaign("power losses, a share", chosen, power_loss.judge)


def test_a_sync_that_is_taken_out_is_missed(power_loss: PowerLoss) -> None:
    """That of the folder of the plan, as an instance; the campaign has all."""
    wrong, _ = power_loss.missed(("fsync", "ds/_skyhaul/plan"))
    assert wrong is not None


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_power_loss(power_loss: PowerLoss, seed: int, campaign: Campaign) -> None:
    history = power_loss.history
    found = list(crashes(history, seed, subsets=1))
    random.Random(seed).shuffle(found)
    print(f"{len(history.ops)} ops, {len(found)} crashes, many of which leave the same disk")
    campaign("power loss", distinct(history, found), power_loss.judge, share=1 / 3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_kill_before_a_power_loss(power_loss: PowerLoss, seed: int, campaign: Campaign) -> None:
    found = power_loss.kills()
    random.Random(seed).shuffle(found)
    campaign("killed, run again, and then power loss", found, power_loss.judge_kill, share=1 / 3)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_sync_is_needed(power_loss: PowerLoss, seed: int, campaign: Campaign) -> None:
    """Each site of a sync is taken for none: some crash must show it."""

    def judge(site: Site) -> str | None:
        wrong, tried = power_loss.missed(site)
        return None if wrong is not None else f"{' '.join(site)} is missed by none of {tried} crashes"

    found = [site for site in sites_of_syncs(power_loss.history) if ours(site)]
    random.Random(seed).shuffle(found)
    campaign("syncs taken out", found, judge, share=1 / 3)
