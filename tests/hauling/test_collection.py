"""Every file of the collection goes through a haul: nothing is lost, nothing crashes or hangs, and memory is
bounded. Where our counts are others than the collection's notes state, `collection_differences.tsv` says why,
file by file.

The files come over HTTP, by lists with checksums, as they would from a region; the command is a process of
its own, so that its memory and that of its child processes can be measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.hostile_http import HostileServer
from tests.hauling.collection import GROUPS, differences, grouped, notes, what_came, write_job

from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.verification import verify_dataset

MEMORY = 600 * 1024
"""KiB, the largest process."""
SECONDS = 60
"""For a shard, and so for each object in it, on a busy machine."""
WHOLE = 170
"""Seconds for all of a schema's files."""

MEASURED = """
import resource, subprocess, sys
program = [sys.executable, "-c", "from skyhaul.cli.main import main; main()"]
code = subprocess.run([*program, *sys.argv[1:]]).returncode
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def test_every_file_of_the_collection_is_in_a_group_and_every_difference_is_of_one(shared_data: Path) -> None:
    stated = notes(shared_data)
    files = grouped(stated)
    assert sum(map(len, files.values())) == len(stated) > 1700
    assert all(len(files[group.name]) > 0 for group in GROUPS)
    assert differences().keys() <= stated.keys()
    assert all(difference.why for difference in differences().values())


@pytest.mark.parametrize("schema", ["image", "blob", "document"])
def test_every_file_of_the_collection_is_hauled_to_the_record(
    schema: str, shared_data: Path, tmp_path: Path
) -> None:
    stated, files, known = notes(shared_data), grouped(notes(shared_data)), differences()
    with HostileServer(shared_data) as server:
        job = write_job(tmp_path, shared_data, server.url, schema, files)
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, "run", "--quiet", str(job)],
            capture_output=True,
            text=True,
            timeout=WHOLE,
            check=False,
        )
    store = DatasetStore.open(str(tmp_path / "out"), writable=True)
    came = what_came(store, tmp_path / "out")
    assert done.returncode == (3 if came.damaged else 0), done.stderr[-2000:]
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert int(done.stderr.split("peak")[-1]) < MEMORY
    assert came.slowest < SECONDS

    assert came.read == came.written + came.filtered + came.rejected + came.passed_over
    assert came.written == sum(came.rows.values())
    assert came.rejected == sum(came.rejects.values())
    for group in GROUPS:
        for path in files[group.name] if group.schema == schema else ():
            found = (came.rows[path], came.rejects[path], path in came.damaged)
            difference = known.get(path)
            if difference is None:
                assert found == (group.expected(stated[path]), 0, False), (path, came.reasons[path][:2])
                continue
            wanted = (difference.rows, difference.rejects, difference.damaged)
            assert found == wanted, (path, difference.why, came.reasons[path][:2])
            assert not difference.reason or came.reasons[path][0].startswith(difference.reason), path
    assert all(reason and reason.isprintable() for found in came.reasons.values() for reason in found)
    assert verify_dataset(store, deep=True).findings == []
    store.close()
