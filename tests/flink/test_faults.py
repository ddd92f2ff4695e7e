"""What is wrong with a shard or a worker stays with it: the job, the dataset and the others go on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flink.engine import Engine, finish
from flink.metrics import counters
from flink.rig import Haul, NewHaul, harnesses, is_gone, until, with_patched_workers, write_corpus
from skyhaul_schemas.errors import EXIT_BUG, EXIT_FAILED, EXIT_OK, EXIT_USAGE

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(500)]


def test_a_shard_that_fails_fails_no_job_and_is_told_in_metrics_and_logs(
    tmp_path: Path, flink: Engine
) -> None:
    corpus = write_corpus(tmp_path / "notes")
    haul = Haul(tmp_path / "haul", corpus, rate="4Mbit/s")
    assert haul.skyhaul("plan", str(haul.job)).returncode == EXIT_OK
    (corpus / "004.txt").write_text("changed since it was planned")
    before = set(flink.cluster.jobs())
    assert haul.run(flink.options) == EXIT_FAILED
    (job,) = set(flink.cluster.jobs()) - before
    assert flink.cluster.jobs()[job] == "FINISHED"
    failures = json.loads(haul.skyhaul("failures", str(haul.job), "--json").stdout)
    (failed,) = [(f["shard"], f["source"]) for f in failures]

    records = [json.loads(data) for data in haul.files("_skyhaul/commits").values()]
    links = [counts for record in records for counts in record["transfer"].values()]
    assert counters(flink.cluster, job).items() >= {
        ("shards_committed", 19),
        ("shards_failed", 1),
        ("failed_SourceChanged", 1),
        ("source_bytes", sum(counts["payload_bytes"] for counts in links)),
        ("wire", sum(counts["wire_bytes"] for counts in links)),
        ("read", 38),
        ("written", 38),
    }

    logs = "".join((flink.children.logs / f"taskmanager-{n}.log").read_text() for n in (1, 2))
    assert f"shard {failed[0]} of {failed[1]} over east failed: SourceChanged" in logs
    committed = next(r for r in records if r["source"] == "odd")
    assert f"shard {committed['shard']} of odd committed over west: " in logs


A_BUG = """\
from skyhaul.hauling import conductor
whole = conductor.encode_shard
def encode_shard(shard, *rest, **more):
    if shard.number == 3:
        raise ZeroDivisionError("a deterministic bug")
    return whole(shard, *rest, **more)
conductor.encode_shard = encode_shard
"""


@pytest.mark.slow
def test_a_bug_in_one_shard_ends_after_bounded_attempts_and_names_it(
    tmp_path: Path, new_haul: NewHaul, flink: Engine, local: str
) -> None:
    haul = new_haul("s3")
    ended = haul.said(with_patched_workers(flink.options, tmp_path / "patch", A_BUG))
    assert ended.returncode == EXIT_BUG
    assert "a worker stopped: shard 3 of source even: ZeroDivisionError: a deterministic bug" in ended.stderr
    assert not flink.running_jobs()
    finish(haul, flink.options)
    assert haul.digest() == local


@pytest.mark.slow
def test_workers_of_another_version_refuse_and_commit_nothing(
    tmp_path: Path, new_haul: NewHaul, flink: Engine, local: str
) -> None:
    haul = new_haul("s3")
    patch = "import pyarrow\npyarrow.__version__ = '1.2.3'\n"
    ended = haul.said(with_patched_workers(flink.options, tmp_path / "patch", patch))
    assert ended.returncode == EXIT_USAGE
    assert "a worker stopped: this installation encodes otherwise than the plan" in ended.stderr
    assert "here is 1.2.3" in ended.stderr
    assert haul.committed() == 0
    assert haul.files("data") == {}
    finish(haul, flink.options)
    assert haul.digest() == local


# From the third shard on a worker hangs until `late` is there, and outlives its runner meanwhile.
# What it then does is told in `told`.
A_ZOMBIE = """\
import itertools, os, threading, time
from skyhaul.hauling import conductor
from skyhaul.shards import parquet
whole, count = conductor.encode_shard, itertools.count()
late, told, level = {late!r}, {told!r}, {level!r}
def wait_and_linger():
    while not os.path.exists(late):
        time.sleep(0.05)
    time.sleep(10)
threading.Thread(target=wait_and_linger).start()
def tell(what):
    with open(told, "a") as file:
        file.write(what + "\\n")
def encode_shard(shard, *rest, **more):
    if next(count) < 2:
        return whole(shard, *rest, **more)
    tell("hangs")
    while not os.path.exists(late):
        time.sleep(0.05)
    if level:
        opened = parquet.open_writer
        parquet.open_writer = lambda sink, schema, compression, footers: opened(
            sink, schema, parquet.Compression("zstd", level), footers)
    try:
        record = whole(shard, *rest, **more)
    except BaseException as error:
        tell(type(error).__name__)
        raise
    tell("committed")
    return record
conductor.encode_shard = encode_shard
"""


@pytest.mark.slow
@pytest.mark.parametrize(("level", "ends"), [(None, "committed"), (12, "CommitConflict")])
@pytest.mark.parametrize("where", ["s3", "disk"])
def test_workers_that_come_back_late_change_nothing(
    tmp_path: Path, new_haul: NewHaul, flink: Engine, local: str, where: str, level: int | None, ends: str
) -> None:
    """Also those whose encoder gives other bytes, as one of another version would."""
    late, told = tmp_path / "late", tmp_path / "told"
    haul = new_haul(where)
    patch = A_ZOMBIE.format(late=str(late), told=str(told), level=level)
    client = haul.start(with_patched_workers(flink.options, tmp_path / "patch", patch))
    try:
        until(lambda: told.exists() and told.read_text().count("hangs") == 2, 120)
        zombies = harnesses()
        client.kill()
        client.wait()
        for name in ("taskmanager-1", "taskmanager-2"):
            flink.children.kill(name)  # and with them whoever could end the workers
        for job in flink.running_jobs():
            flink.cluster.cancel(job)
        flink.cluster.mend()
        finish(haul, flink.options)
        assert haul.digest() == local
        assert not any(is_gone(pid) for pid in zombies)
    finally:
        late.touch()
    until(lambda: all(is_gone(pid) for pid in zombies), 120)
    assert ends in told.read_text().split()
    assert haul.digest() == local
    assert haul.is_sound()
    assert haul.run() == EXIT_OK
