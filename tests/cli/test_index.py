"""`skyhaul index`: what it prints, what it leaves out, and that a plan from it asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.faults.hostile_http import HostileServer

from cli.program import PROGRAM, call, spawn
from skyhaul_connectors.sources.catalogue.indexing import IndexSettings, index_folder

MIB = 1 << 20
SEED = 11


@pytest.fixture
def region(tmp_path: Path) -> Path:
    print(f"region seed {SEED}")
    dice = random.Random(SEED)
    root = tmp_path / "region"
    for name, size in {
        "a.txt": 10, "a/b.txt": 20, "a/c/d.txt": 0, "a-b.txt": 5, "ä ö.txt": 7,
        "one.bin": MIB, "more.bin": MIB + 1, "large.bin": 5 * MIB + 77,
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(dice.randbytes(size))
    return root


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_file_is_there_with_its_digests_in_the_order_of_its_bytes(region: Path) -> None:
    answer = call("index", region, "--mtime")
    assert answer.code == 0
    index = lines(answer.out)
    files = sorted(
        (p.relative_to(region).as_posix() for p in region.rglob("*") if p.is_file()), key=str.encode
    )
    assert [entry["path"] for entry in index] == files
    for entry in index:
        data = (region / entry["path"]).read_bytes()
        assert entry["size"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["mtime"] == (region / entry["path"]).stat().st_mtime_ns
        blocks = [hashlib.sha256(data[at : at + MIB]).digest() for at in range(0, len(data), MIB)]
        if len(blocks) > 1:
            assert entry["block_size"] == MIB
            assert base64.b64decode(entry["blocks"]) == b"".join(blocks)
        else:
            assert "blocks" not in entry, "its one block is the whole"
        assert "url" not in entry


@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_folder_gives_the_same_lines_whatever_the_threads(region: Path, threads: int) -> None:
    assert call("index", region, "--threads", str(threads)).out == call("index", region).out


def test_urls_are_below_the_base_and_globs_select(region: Path) -> None:
    answer = call("index", region, "--base-url", "https://h.example/d", "--match", "**/*.txt", "--no-blocks")
    index = lines(answer.out)
    assert {entry["path"]: entry["url"] for entry in index} == {
        "a-b.txt": "https://h.example/d/a-b.txt",
        "a.txt": "https://h.example/d/a.txt",
        "a/b.txt": "https://h.example/d/a/b.txt",
        "a/c/d.txt": "https://h.example/d/a/c/d.txt",
        "ä ö.txt": "https://h.example/d/%C3%A4%20%C3%B6.txt",
    }


def test_what_cannot_be_an_object_is_left_out_and_said(region: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("outside")
    (region / "leaves").symlink_to(tmp_path / "secret")
    (region / "stays").symlink_to(region / "a.txt")
    (region / "new\nline").write_text("x")
    os.mkfifo(region / "fifo")
    (region / ".hidden").write_text("x")
    skipped: dict[str, str] = {}
    index = [
        json.loads(line.text) for line in index_folder(str(region), IndexSettings(), skipped.__setitem__)
    ]
    names = {entry["path"] for entry in index}
    assert "stays" in names
    assert not names & {"leaves", "new\nline", "fifo", ".hidden"}
    assert skipped == {
        "leaves": "is a link that leaves the folder",
        "new\nline": "has control characters",
        "fifo": "is no regular file",
    }
    answer = call("index", region)
    assert answer.code == 3


def test_an_index_written_into_its_own_folder_does_not_hold_itself(region: Path) -> None:
    with (region / "objects.jsonl").open("w") as out:
        done = subprocess.run([*PROGRAM, "index", "."], cwd=region, stdout=out, check=False, timeout=60)
    assert done.returncode == 0
    index = lines((region / "objects.jsonl").read_text())
    assert len(index) == 8
    assert "objects.jsonl" not in {entry["path"] for entry in index}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such folder"),
        ([".", "--base-url", "ftp://h/x"], "not http or https"),
        ([".", "--base-url", "https://u:p@h/x"], "may be secret"),
    ],
)
def test_bad_usage(arguments: list[str], message: str) -> None:
    answer = call("index", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert "u:p" not in answer.err


def job(folder: Path, source: dict[str, Any]) -> Path:
    path = folder / "job.yaml"
    path.write_text(
        json.dumps(
            {
                "version": 1,
                "name": "indexed",
                "dataset": str(folder / "out"),
                "spool": str(folder / "spool"),
                "schema": "blob",
                "sources": {"s": {"format": "binary", **source}},
                "shards": {"target_size": "2MiB"},
            }
        )
    )
    return path


@pytest.mark.parametrize("way", ["urls", "root"])
def test_a_plan_from_an_index_asks_the_server_for_nothing_and_its_haul_for_no_head(
    way: str, region: Path, tmp_path: Path
) -> None:
    with HostileServer(region) as server:
        base = ["--base-url", server.url] if way == "urls" else []
        index = tmp_path / "objects.jsonl"
        index.write_text(call("index", region, *base).out)
        url = {"list": str(index), **({"root": server.url} if way == "root" else {})}
        path = job(tmp_path, {"url": url})
        assert call("plan", path).code == 0
        asked = {served.path for served in server.ranges()}
        assert asked == {"a/c/d.txt"}, "the index says all that a plan needs, but a size of 0 proves nothing"
        done = spawn("run", "-q", path)
        assert done.code == 0, done.err
        assert {served.method for served in server.ranges()} == {"GET"}
    assert call("verify", "--deep", path).code == 0


def test_an_index_serves_a_local_root_too_and_its_digests_are_checked(region: Path, tmp_path: Path) -> None:
    index = tmp_path / "objects.jsonl"
    index.write_text(call("index", region).out)
    path = job(tmp_path, {"url": {"list": str(index), "root": str(region)}})
    assert call("plan", path).code == 0
    (region / "a.txt").write_bytes(b"0123456789")
    done = spawn("run", "-q", path)
    assert done.code == 3
    assert "SourceChanged" in call("failures", path).out


def test_a_list_without_urls_needs_a_root(region: Path, tmp_path: Path) -> None:
    index = tmp_path / "objects.jsonl"
    index.write_text(call("index", region).out)
    answer = call("plan", job(tmp_path, {"url": {"list": str(index)}}))
    assert answer.code == 2
    assert "no url; where paths are below one root" in answer.err
