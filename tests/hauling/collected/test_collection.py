"""Every file of the collection goes through a haul: nothing is lost, nothing crashes or hangs, and memory is
bounded. How many records of a file come is what independent readers say, who read it in this test (`judges`);
where it is not, `collection_differences.tsv` says why, file by file.

The files come over HTTP, by lists with checksums, as they would from a region; the command is a process of
its own, so that its memory and that of its child processes can be measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from tests.faults.hostile_http import HostileServer
from tests.hauling.collected.collection import (
    GROUPS,
    Came,
    collected,
    differences,
    grouped,
    what_came,
    write_job,
)
from tests.hauling.collected.judges import judged
from tests.hauling.collected.verdict import Verdict, deciding

from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset

MEMORY = 600 * 1024
"""KiB, the largest process."""
SECONDS = 60
"""For a shard, and so for each object in it, on a busy machine."""
WHOLE = 170
"""Seconds for all of a schema's files."""

KNOWN = differences()
judged_once = cache(judged)

MEASURED = """
import resource, subprocess, sys
program = [sys.executable, "-c", "from skyhaul.cli.main import main; main()"]
code = subprocess.run([*program, *sys.argv[1:]]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def test_every_file_of_the_collection_is_in_a_group_and_every_difference_is_of_one(shared_data: Path) -> None:
    paths = collected(shared_data)
    files = grouped(paths)
    assert sum(map(len, files.values())) == len(paths) > 1700
    assert all(len(files[group.name]) > 0 for group in GROUPS)
    assert KNOWN.keys() <= set(paths)
    assert all(difference.why for difference in KNOWN.values())


def test_every_judge_reads_what_it_is_asked_about(shared_data: Path) -> None:
    """One that fails for a reason of its own would agree with every refusal."""
    asked: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for group, paths in grouped(collected(shared_data)).items():
        for path in paths:
            for verdict in judged_once(group, shared_data / path):
                asked[verdict.by] += 1
                read[verdict.by] += verdict.refused is not None
    assert len(asked) > 10
    # Polars reads a fifth of the Parquet files (no variants, none of the corrupt ones), the others most.
    assert [by for by in asked if by != "JSONTestSuite" and read[by] * 6 < asked[by]] == []


def passed_over(path: str, came: Came, verdicts: list[Verdict]) -> int:
    """How many are passed over of a file whose counts are what its judges say, or what is stated."""
    rows, rejects, damaged = came.rows[path], came.rejects[path], path in came.damaged
    judges = deciding(verdicts)
    agreed = all(judge.agrees(rows, rejects, damaged=damaged) for judge in judges)
    difference = KNOWN.get(path)
    assert agreed == (difference is None), (path, rows, rejects, damaged, verdicts, came.reasons[path][:2])
    if difference is None:
        return judges[0].passed
    assert (rows, rejects, damaged) == (difference.rows, difference.rejects, difference.damaged), path
    assert bool(difference.reason) == bool(rejects), path
    assert all(reason.startswith(difference.reason) for reason in came.reasons[path][:1]), path
    return difference.passed


@pytest.mark.parametrize("schema", ["image", "blob", "document"])
def test_every_file_of_the_collection_is_hauled_to_the_record(
    schema: str, shared_data: Path, tmp_path: Path
) -> None:
    files = grouped(collected(shared_data))
    with HostileServer(shared_data) as server:
        job = write_job(tmp_path, shared_data, server.url, schema, files)
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, "run", "--quiet", str(job)],
            capture_output=True,
            text=True,
            timeout=WHOLE,
            check=False,
        )
    store = open_store(str(tmp_path / "out"), writable=True)
    came = what_came(store, tmp_path / "out")
    assert done.returncode == (3 if came.damaged else 0), done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert int(done.stderr.split("peak")[-1]) < MEMORY
    assert came.slowest < SECONDS

    assert came.read == came.written + came.filtered + came.rejected + came.passed_over
    assert came.written == sum(came.rows.values())
    assert came.rejected == sum(came.rejects.values())
    passed = 0
    for group in (group for group in GROUPS if group.schema == schema):
        for path in files[group.name]:
            passed += passed_over(path, came, judged_once(group.name, shared_data / path))
    assert came.passed_over == passed
    assert all(reason and reason.isprintable() for found in came.reasons.values() for reason in found)
    assert verify_dataset(store, deep=True).findings == []
    store.close()
