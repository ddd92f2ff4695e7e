"""A source that is mostly garbage: its first shards fail, and the rest does not cross the link."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.hostile_http import HostileServer

from dataset.standing_of import committed_shards, failures
from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul_schemas.job.file import parse_job

JOB = """
version: 1
name: garbage
dataset: {folder}/out
spool: {folder}/spool
max_rejects: 5%
sources:
  bad: {{url: "{url}/bad-*.jsonl", format: jsonl, max_connections: 4}}
  good: {{url: "{url}/good-*.jsonl", format: jsonl, max_connections: 4}}
shards: {{target_size: 4kB}}
"""
COUNT = 200


def run(folder: Path, url: str) -> tuple[HaulOutcome, DatasetStore]:
    store = open_store(str(folder / "out"), writable=True)
    loaded = parse_job(JOB.format(folder=folder, url=url), "job.yaml", os.environ)
    return haul_on_beam(loaded, store, HaulOptions()), store


def test_after_three_shards_above_the_ceiling_the_rest_of_a_source_is_not_fetched(tmp_path: Path) -> None:
    bad = {f"bad-{n:03}.jsonl": b'{"text": "cut off\n' * 250 for n in range(COUNT)}
    good = {f"good-{n:03}.jsonl": b'{"text": "whole"}\n' * 250 for n in range(10)}
    with HostileServer({**bad, **good}) as server:
        outcome, store = run(tmp_path, server.url)
        fetched = {served.path for served in server.ranges() if served.sent and "bad-" in served.path}
    assert outcome.exit_code == 3
    assert len(committed_shards(store)) == 10, "the other source is hauled whole"
    found = list(failures(store))
    assert len(found) == COUNT, "every shard says what became of it"
    assert {failure.kind for failure in found} == {"TooManyRejects"}
    left = [failure for failure in found if "was not fetched" in failure.reason]
    assert len(left) >= COUNT // 2
    assert len(fetched) <= COUNT - len(left)
    assert "3 shards one after the other are above `max_rejects`" in left[0].reason
    assert "`max_rejects` allows 5%" in left[0].reason


def test_two_shards_above_the_ceiling_do_not_give_a_source_up(tmp_path: Path) -> None:
    bad = {f"bad-{n:03}.jsonl": b'{"text": "cut off\n' * 250 for n in range(2)}
    sound = {f"bad-{n:03}.jsonl": b'{"text": "whole"}\n' * 250 for n in range(2, 40)}
    with HostileServer({**bad, **sound, "good-0.jsonl": b'{"text": "whole"}\n'}) as server:
        outcome, store = run(tmp_path, server.url)
    assert outcome.exit_code == 3
    assert len(committed_shards(store)) == 39
    assert ["was not fetched" in failure.reason for failure in failures(store)] == [False, False]
