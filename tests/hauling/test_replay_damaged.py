"""What is broken in a dataset is hauled again, and comes out as it was committed, or nothing changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.hauling.living import Living
from tests.hauling.rig import reject_digests

from skyhaul_schemas import layout
from skyhaul_schemas.self_digest import digested_line

LINES = 60


@pytest.fixture
def living(tmp_path: Path) -> Living:
    """Lines of which every tenth is broken, so that each shard has rejects."""
    made = Living(
        tmp_path,
        sources={"texts": {"url": f"{tmp_path}/region/*.jsonl", "format": "jsonl"}},
        shards={"target_size": "6kB"},
    )
    for number in range(4):
        lines = [
            json.dumps({"text": f"{number} {n} {'y' * 70}"})[: -1 if n % 10 == 0 else None]
            for n in range(LINES)
        ]
        (made.region / f"{number}.jsonl").write_text("\n".join(lines) + "\n")
    assert made.run().exit_code == 0
    return made


def flip(path: Path, at: int) -> bytes:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    return bytes(data)


def test_flipped_cut_and_missing_files_and_rejects_come_back_as_they_were(living: Living) -> None:
    data, rejects = living.files(), reject_digests(living.dataset)
    first, second, third = (living.dataset / path for path in sorted(data)[:3])
    broken = flip(first, 200)
    second.unlink()
    third.write_bytes(third.read_bytes()[:-9])
    lost = [living.dataset / path for path in sorted(rejects)]
    lost[0].unlink()
    flip(lost[-1], 50)
    untouched = living.dataset / sorted(data)[-1]
    before = untouched.stat()
    assert living.program("verify").returncode == 4
    done = living.program("replay", "--damaged", "--json", "-q")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left"] == []
    assert {file["path"] for file in told["mended"]} == {
        str(path.relative_to(living.dataset)) for path in (first, second, third, lost[0], lost[-1])
    }
    assert (living.files(), reject_digests(living.dataset)) == (data, rejects)
    assert living.verify().exit_code() == 0
    aside = living.dataset / layout.SET_ASIDE / f"{first.relative_to(living.dataset)}.0"
    assert aside.read_bytes() == broken
    assert (untouched.stat().st_ino, untouched.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_source_that_changed_leaves_the_broken_file_where_it_is(living: Living) -> None:
    path = living.dataset / min(living.files())
    broken = flip(path, 200)
    for file in living.region.iterdir():
        file.write_text("{}\n")
    done = living.program("replay", "--damaged")
    assert done.returncode == 4, done.stdout
    assert done.stdout.startswith("still damaged: 1 file")
    assert "SourceChanged" in done.stderr
    assert path.read_bytes() == broken
    assert not (living.dataset / layout.SET_ASIDE).exists()
    assert living.program("failures").returncode == 0, "the shard stays committed"


def test_a_shard_that_comes_out_otherwise_than_committed_changes_nothing(living: Living) -> None:
    """The commit record claims another digest: what is hauled cannot be proven, so nothing is replaced."""
    path = living.dataset / min(living.files())
    record = living.dataset / layout.commit_file(0)
    stated = json.loads(record.read_text())
    stated["files"][0]["sha256"] = "0" * 64
    record.write_bytes(digested_line(stated))
    before = path.read_bytes()
    done = living.program("replay", "--damaged")
    assert done.returncode == 4
    assert "ReplayDiffers" in done.stderr
    assert "nothing was replaced" in done.stderr
    assert path.read_bytes() == before


@pytest.mark.parametrize("digested", [True, False])
def test_a_record_of_other_bytes_than_are_planned_is_hauled_again_and_kept(
    living: Living, digested: bool
) -> None:
    """The record's own digest, where it has one, does not make it true."""
    data = living.files()
    path = living.dataset / layout.commit_file(1)
    stated = json.loads(path.read_text())
    stated["sources"][0]["ranges"][0][1] += 1
    del stated["digest"]
    path.write_bytes(digested_line(stated) if digested else json.dumps(stated).encode())
    false = path.read_bytes()
    assert living.verify().exit_code() == 4
    done = living.program("replay", "--damaged", "-q", "--json")
    assert done.returncode == 0, done.stderr
    assert [file["path"] for file in json.loads(done.stdout)["mended"]] == [layout.commit_file(1)]
    assert living.verify().exit_code() == 0
    assert living.files() == data
    assert (living.dataset / layout.SET_ASIDE / f"{layout.commit_file(1)}.0").read_bytes() == false


def test_commit_records_that_do_not_stand_are_hauled_again_and_kept(living: Living) -> None:
    """One of another shard, whose data is gone; one that rots, with its data and a part too many; an empty
    one; one beyond the plan."""
    data, rejects = living.files(), reject_digests(living.dataset)
    first, second, third, fourth = (living.dataset / layout.commit_file(n) for n in (0, 1, 2, 700))
    first.write_bytes(third.read_bytes())
    for path in living.dataset.glob("data/0000/*-0000000-*"):
        path.unlink()
    second.write_bytes(second.read_bytes().replace(b'"wire_bytes":0', b'"wire_bytes":1'))
    part = living.dataset / layout.data_file(1, "train", 0)
    flip(part, 100)
    part.with_name("train-0000001-005.parquet").write_bytes(b"stray")
    third.write_bytes(b"")
    fourth.write_bytes(b"{}")
    status = living.program("status")
    assert status.returncode == 4
    assert "0000000.json stands for no shard: it is the record of shard 2; `skyhaul replay" in status.stdout
    assert "and 1 more such files" in status.stdout
    run = living.program("run", "--json", "-q")
    assert run.returncode == 4, "it hauls what it can, and says that this is not all"
    told = json.loads(run.stdout)
    assert [unfit["code"] for unfit in told["unfit"]] == [
        "commit-misplaced", "commit-unreadable", "commit-unreadable", "commit-unplanned",
    ]  # fmt: skip
    assert told["shards_left"] == 3
    assert "skyhaul replay --damaged" in told["next"][0]
    assert living.program("verify").returncode == 4
    done = living.program("replay", "--damaged", "--json", "-q")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["left"] == []
    assert {(file["shard"], file["haul"]) for file in told["mended"]} == {
        (0, True), (1, True), (2, True), (700, False),
    }  # fmt: skip
    assert (living.files(), reject_digests(living.dataset)) == (data, rejects)
    assert living.verify().exit_code() == 0
    aside = living.dataset / layout.SET_ASIDE
    assert (aside / f"{layout.commit_file(2)}.0").read_bytes() == b""
    assert (aside / "data/0000/train-0000001-005.parquet.0").read_bytes() == b"stray"
    assert (aside / f"{layout.commit_file(700)}.0").read_bytes() == b"{}"


def test_a_rotten_record_of_a_source_that_changed_stays_where_it_is(living: Living) -> None:
    record = living.dataset / layout.commit_file(0)
    rotten = flip(record, 20)
    for file in living.region.iterdir():
        file.write_text("{}\n")
    done = living.program("replay", "--damaged")
    assert done.returncode == 4, done.stdout
    assert record.read_bytes() == rotten
    assert not (living.dataset / layout.SET_ASIDE).exists()


def test_failure_and_run_records_that_rot_are_told_and_set_aside(living: Living) -> None:
    (run,) = (living.dataset / layout.RUNS).glob("*.json")
    run.write_bytes(run.read_bytes().replace(b'"seconds"', b'"secondz"'))
    failure = living.dataset / layout.failure_file(0)
    failure.parent.mkdir(parents=True)
    failure.write_bytes(b"{}")
    report = living.verify()
    assert {finding.code for finding in report.findings} == {"run-unreadable", "failure-unreadable"}
    assert living.program("replay", "--damaged").returncode == 0
    assert living.verify().exit_code() == 0
    assert (living.dataset / layout.SET_ASIDE / f"{layout.failure_file(0)}.0").read_bytes() == b"{}"


def test_a_sound_dataset_is_left_alone(living: Living) -> None:
    done = living.program("replay", "--damaged")
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "nothing is damaged")
    assert living.program("replay", "--damaged", "--class", "X").returncode == 2


def test_only_the_shards_that_are_named_are_mended(living: Living) -> None:
    for path in living.files():
        (living.dataset / path).unlink()
    done = living.program("replay", "--damaged", "--shard", "1", "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert {file["shard"] for file in json.loads(done.stdout)["mended"]} == {1}
    assert len(living.files()) == 1


def test_too_many_rejects_fail_the_shard_for_good(tmp_path: Path) -> None:
    living = Living(
        tmp_path,
        sources={"texts": {"url": f"{tmp_path}/region/*.jsonl", "format": "jsonl"}},
        max_rejects="5%",
    )
    (living.region / "bad.jsonl").write_text('{"text": "a"\n' * 3000)
    done = living.program("run", "-q")
    assert done.returncode == 3
    told = json.loads(living.program("failures", "--json").stdout)
    assert {failure["kind"] for failure in told} == {"TooManyRejects"}
    assert all(failure["final"] for failure in told)
    assert "`max_rejects` allows 5%" in told[0]["reason"]
