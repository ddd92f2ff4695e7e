"""A folder behind a real sshd as a source: pinned by size and time, read by ranges over one connection a
channel, opened with a key file, and only where the server's own key is known."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.hauling.rig import command, skyhaul

from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.opening import open_store
from skyhaul.verification import verify_dataset
from skyhaul_connectors.sources.left_out import LeftOut
from skyhaul_connectors.sources.opening import open_source
from skyhaul_connectors.sources.protocol import Source
from skyhaul_schemas.errors import AccessRefused, CarriageError, ObjectMissing, SourceChanged, UsageError
from skyhaul_schemas.job.model import SourceSpec
from sources.recording import fetch
from stores.ssh_server import SshServer, ssh

__all__ = ["ssh"]

pytestmark = pytest.mark.timeout(200)


def opened(ssh: SshServer, pattern: str, **options: Any) -> Source:
    spec = SourceSpec(url=f"{ssh.url}{ssh.folder}/{pattern}", options={**ssh.options(), **options})
    return open_source("station", spec)


def test_files_are_listed_pinned_and_read_by_ranges(ssh: SshServer) -> None:
    data = random.Random(3).randbytes(1_000_000)
    (ssh.folder / "list" / "deep").mkdir(parents=True)
    (ssh.folder / "list" / "a b+é.bin").write_bytes(data)
    (ssh.folder / "list" / "deep" / "small.bin").write_bytes(b"small")
    (ssh.folder / "list" / "deep" / "link.bin").symlink_to("small.bin")
    (ssh.folder / "list" / "round").symlink_to(".")
    source = opened(ssh, "list/**/*.bin")
    objects = sorted(source.listing(), key=lambda obj: obj.path)
    assert [(obj.path, obj.size) for obj in objects] == [
        ("a b+é.bin", 1_000_000),
        ("deep/link.bin", 5),
        ("deep/small.bin", 5),
    ]
    assert all(obj.version.startswith("mtime:") for obj in objects)
    assert source.read_now(objects[1], 1, 4) == b"mall"
    ranges = [(objects[0], 0, 1_000_000), (objects[0], 999_000, 1000), (objects[2], 0, 5)]
    outcomes, _ = asyncio.run(fetch(source, ranges, at_once=True))
    assert [o.whole for o in outcomes] == [data, data[-1000:], b"small"]
    source.close()


def test_what_is_no_object_is_counted_by_reason(ssh: SshServer) -> None:
    folder = ssh.folder / "odd"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.txt").write_text("a")
    (folder / "empty.txt").touch()
    (folder / ".hidden.txt").touch()
    os.mkfifo(folder / "pipe.txt")
    (folder / "broken.txt").symlink_to("nowhere")
    (folder / "round").symlink_to("deep")
    left_out = LeftOut()
    source = opened(ssh, "odd/**/*.txt")
    assert sorted(obj.path for obj in source.listing(left_out)) == ["deep/a.txt", "empty.txt"]
    assert left_out.names() == {
        "a link to nothing": ["broken.txt"],
        "a link to a folder, which ** does not follow": ["round"],
        "a name that starts with a dot, which no pattern names": [".hidden.txt"],
        "no regular file": ["pipe.txt"],
    }
    source.close()


def test_a_name_that_is_no_utf8_is_refused_by_name(ssh: SshServer) -> None:
    (ssh.folder / "latin").mkdir()
    with open(os.fsencode(ssh.folder / "latin") + b"/caf\xe9.txt", "wb"):
        pass
    source = opened(ssh, "latin/*.txt")
    with pytest.raises(UsageError, match=r"latin' has a name that is no UTF-8 \(b'caf\\xe9.txt'\)"):
        list(source.listing())
    source.close()


def test_a_file_that_states_no_bytes_and_has_some_is_refused(ssh: SshServer) -> None:
    source = open_source("far", SourceSpec(url=f"{ssh.url}/proc/self/limits", options=ssh.options()))
    with pytest.raises(UsageError, match="states a size of 0 and has bytes"):
        list(source.listing())
    source.close()


def test_a_file_that_changes_or_goes_is_noticed(ssh: SshServer) -> None:
    path = ssh.folder / "changing.txt"
    path.write_bytes(b"before")
    source = opened(ssh, "changing.txt")
    (obj,) = source.listing()
    assert source.read_now(obj, 0, 6) == b"before"
    path.write_bytes(b"after!")
    os.utime(path, (1, 1))
    with pytest.raises(SourceChanged):
        source.read_now(obj, 0, 6)
    path.unlink()
    with pytest.raises(ObjectMissing):
        source.read_now(obj, 0, 6)
    source.close()


def test_a_server_that_is_not_known_is_refused_before_it_gets_anything(
    ssh: SshServer, tmp_path: Path
) -> None:
    (tmp_path / "known").write_text("")
    source = opened(ssh, "*", known_hosts=str(tmp_path / "known"))
    with pytest.raises(AccessRefused, match="known_hosts"):
        list(source.listing())
    with pytest.raises(UsageError, match="cannot be read"):
        list(opened(ssh, "*", known_hosts=str(tmp_path / "none")).listing())


def test_the_wrong_key_file_is_one_line(ssh: SshServer) -> None:
    source = opened(ssh, "*", key_filename=str(ssh.stranger))
    with pytest.raises(AccessRefused, match="check the credentials") as refused:
        list(source.listing())
    assert len(str(refused.value).splitlines()) == 1


def test_a_server_that_is_away_is_a_carriage_error(ssh: SshServer) -> None:
    spec = SourceSpec(url=f"sftp://127.0.0.1:9{ssh.folder}/*", options=ssh.options())
    with pytest.raises(CarriageError):
        list(open_source("station", spec).listing())


def test_a_dataset_there_is_refused_since_nothing_keeps_two_writers_apart(ssh: SshServer) -> None:
    with pytest.raises(UsageError, match="without replacing"):
        open_store(f"{ssh.url}{ssh.folder}/dataset", writable=True)


def job(ssh: SshServer, folder: Path, name: str, **more: Any) -> Path:
    path = folder / "job.yaml"
    source = {"url": f"{ssh.url}{ssh.folder}/{name}/*.bin", "format": "binary", "options": ssh.options()}
    spec = {
        "version": 1,
        "name": "station",
        "schema": "blob",
        "dataset": str(folder / "dataset"),
        "spool": str(folder / "spool"),
        "sources": {"station": {**source, "max_connections": 4, **more.pop("source", {})}},
        "shards": {"target_size": "1MiB"},
        **more,
    }
    path.write_text(yaml.safe_dump(spec))
    return path


def write_region(ssh: SshServer, name: str) -> dict[str, str]:
    """sha256 by path of ten files of together 5 MB."""
    rng = random.Random(5)
    (ssh.folder / name).mkdir()
    digests = {}
    for number in range(10):
        data = rng.randbytes(500_000)
        (ssh.folder / name / f"{number}.bin").write_bytes(data)
        digests[f"{number}.bin"] = hashlib.sha256(data).hexdigest()
    return digests


def hauled(dataset: Path) -> dict[str, str]:
    with closing(open_store(str(dataset), writable=False)) as store:
        assert verify_dataset(store, deep=True).exit_code() == 0
        return {source.object: source.sha256 for record in commits(store) for source in record.sources}


def test_a_whole_haul(ssh: SshServer, tmp_path: Path) -> None:
    due = write_region(ssh, "whole")
    done = skyhaul("run", job(ssh, tmp_path, "whole"), "--json", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert hauled(tmp_path / "dataset") == due
    assert json.loads(done.stdout)


@pytest.mark.slow
def test_a_killed_haul_goes_on_with_what_had_arrived(ssh: SshServer, tmp_path: Path) -> None:
    due = write_region(ssh, "killed")
    path = job(
        ssh,
        tmp_path,
        "killed",
        source={"via": ["slow"]},
        links={"slow": {"emulate": True, "down": "4Mbit/s", "rtt": "20ms"}},
    )
    assert skyhaul("plan", path, cwd=tmp_path).returncode == 0
    first = subprocess.Popen([command(), "run", path, "--quiet"], cwd=tmp_path, start_new_session=True)
    try:
        end = time.monotonic() + 90
        while not list((tmp_path / "dataset").glob("_skyhaul/commits/*/*.json")):
            assert time.monotonic() < end
            assert first.poll() is None
            time.sleep(0.05)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    done = skyhaul("run", path, "--json", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert hauled(tmp_path / "dataset") == due
    with closing(open_store(str(tmp_path / "dataset"), writable=False)) as store:
        resent = sum(t.resent_bytes for record in commits(store) for t in record.transfer.values())
    assert resent < 2_000_000, "what had arrived before the kill was not fetched again"
