"""A filesystem that the kernel itself makes read-only in the midst of a haul (ext4, `errors=remount-ro`, as
after a bad sector): 75, one line, and once it is repaired the same command goes on."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SKYHAUL = [sys.executable, "-c", "from skyhaul.cli.main import main; main()"]
WORDS = ["sea", "ice", "wind", "salt", "mast", "keel", "tide", "reef"]

JOB = """\
version: 1
name: remounted
dataset: {dataset}
spool: {spool}
ledger: {work}/ledger.sqlite
seed: 1
schema: document
sources:
  s: {{url: "{work}/src/*.txt", format: text, via: [sat]}}
links:
  sat: {{preset: leo-remote, emulate: true, down: 4Mbit/s, seed: 1}}
shards: {{target_size: 256KiB}}
"""


class Volume:
    """An ext4 filesystem in a file."""

    def __init__(self, folder: Path) -> None:
        self.image, self.place = folder / "image", folder / "mounted"
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(64 << 20)
        _do("mkfs.ext4", "-q", str(self.image))
        self.mount()

    def mount(self) -> None:
        _do("mount", "-o", "loop,errors=remount-ro", str(self.image), str(self.place))

    def unmount(self) -> None:
        _do("umount", str(self.place))

    def repair(self) -> None:
        self.unmount()
        subprocess.run(["fsck.ext4", "-fy", str(self.image)], capture_output=True, timeout=60)
        self.mount()

    def fail(self) -> None:
        """What the kernel does when it finds an error of the filesystem's."""
        with open("/proc/self/mounts") as mounts:
            device = next(line.split()[0] for line in mounts if line.split()[1] == str(self.place))
        Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Volume]:
    missing = [tool for tool in ("mkfs.ext4", "fsck.ext4", "mount", "umount") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"needs root and {', '.join(missing) or 'its tools'}: no filesystem can be made to fail")
    try:
        made = Volume(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop mounts here: {error.stderr.decode(errors='replace').strip()}")
    try:
        yield made
    finally:
        made.unmount()


def _skyhaul(work: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([*SKYHAUL, *arguments], cwd=work, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("side", ["spool", "dataset"])
def test_a_filesystem_that_turns_read_only_ends_a_haul_with_75(
    volume: Volume, tmp_path: Path, side: str
) -> None:
    work = tmp_path / "work"
    (work / "src").mkdir(parents=True)
    rng = random.Random(1)
    for number in range(8):
        text = " ".join(f"{rng.choice(WORDS)}{rng.random()}" for _ in range(12_000))
        (work / "src" / f"{number}.txt").write_text(text)
    places = {"spool": work / "spool", "dataset": work / "ds"} | {side: volume.place / side}
    (work / "job.yaml").write_text(JOB.format(work=work, **places))

    run = _skyhaul(work, "run", "--quiet", "job.yaml")
    commits = places["dataset"] / "_skyhaul" / "commits" / "0000"
    deadline = time.monotonic() + 60
    while not (commits.is_dir() and any(commits.iterdir())):
        assert run.poll() is None, run.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    volume.fail()
    _, said = run.communicate(timeout=90)
    assert (run.returncode, "Read-only file system" in said) == (75, True), said
    assert "Traceback" not in said

    volume.repair()
    for command in (["run"], ["verify", "--deep"]):
        again = _skyhaul(work, *command, "--quiet", "job.yaml")
        _, said = again.communicate(timeout=90)
        assert again.returncode == 0, said
