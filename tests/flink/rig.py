"""A haul slow enough to be hurt, and the clusters that carry it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from object_store import BUCKET, ObjectStore
from processes import LOOPBACK, Processes, answers, free_port

BIN = Path(sys.executable).parent
SEED = 20
RUN_ENDS = 240.0
"""Seconds that one run of a client may take, Flink's restarts and a busy machine included."""


SUBMITTING = """
import os, sys
from skyhaul.beam.submission import submit_haul
from skyhaul.hauling.config import HaulOptions
from skyhaul_schemas.job.file import load_job
_, job, runner, *arguments = sys.argv
options = HaulOptions(runner=runner, beam_args=tuple(arguments))
print(submit_haul(load_job(job, os.environ), options, parallelism=2))
"""
"""A client that hands a job to a runner, and ends."""


class Haul:
    """One job over `corpus`; its spool, and its dataset unless that is on `store`, are below `folder`."""

    def __init__(
        self,
        folder: Path,
        corpus: Path,
        *,
        rate: str | None = None,
        shared: str | None = None,
        shard: str = "64KiB",
        store: ObjectStore | None = None,
    ) -> None:
        """`rate` is that of each of two links, which a conductor each has to itself, or of one that the
        workers share in the way that `shared` names."""
        folder.mkdir(parents=True)
        self.folder = folder
        self.store = store
        self.dataset = str(folder / "dataset")
        if store:
            self._prefix = f"{secrets.token_hex(8)}/"
            self.dataset = f"s3://{BUCKET}/{self._prefix}".rstrip("/")
        self.job = folder / "job.yaml"
        names = ("dish", "dish") if shared else ("east", "west")
        link = {"emulate": True, "down": rate, "rtt": "20ms"} | ({"shared": shared} if shared else {})
        links = dict.fromkeys(names, link)
        sources = {"even": ("*[02468].txt", names[0]), "odd": ("*[13579].txt", names[1])}
        job: dict[str, Any] = {
            "version": 1,
            "name": "cluster",
            "seed": 7,
            "schema": "document",
            "dataset": self.dataset,
            "spool": str(folder / "spool"),
            "links": links if rate else {},
            "sources": {
                name: {"url": f"{corpus}/{files}", "format": "text", "via": [link] if rate else []}
                for name, (files, link) in sources.items()
            },
            "shards": {"target_size": shard},
        }
        self.job.write_text(yaml.safe_dump(job))
        # All that the client leaves in the temporary directory is seen, by itself.
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._environment = {**os.environ, "TMPDIR": str(self.temporary)}

    def command(self, options: Sequence[str] = ()) -> list[str]:
        return [str(BIN / "skyhaul"), "run", str(self.job), "--quiet", *options]

    def skyhaul(self, *arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """A command of the program; what it says is in the test's output too."""
        done = subprocess.run(
            [str(BIN / "skyhaul"), *arguments],
            capture_output=True,
            text=True,
            timeout=seconds,
            env=self._environment,
        )
        print(done.stdout, done.stderr)
        return done

    def run(self, options: Sequence[str] = ()) -> int:
        """The exit code. The client leaves nothing in the temporary directory."""
        code = self.said(options).returncode
        left = [entry.name for entry in self.temporary.iterdir()]
        assert left == [] or self._users_own(left), left
        return code

    def said(self, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return self.skyhaul(*self.command(options)[1:], seconds=RUN_ENDS)

    def _users_own(self, left: list[str]) -> bool:
        """The user's folder, where the store's temporary folders are found again, and none in it."""
        own = f"skyhaul-{os.getuid()}"
        return left == [own] and not any((self.temporary / own).glob("tmp-*"))

    def start(self, options: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        with (self.folder / "client.log").open("ab") as log:
            return subprocess.Popen(self.command(options), stdout=log, stderr=log, env=self._environment)

    def submit(self, options: Sequence[str]) -> str:
        """Hand the haul to the runner and wait for nothing. Returns its id."""
        _, runner, _, *arguments = options
        done = subprocess.run(
            [sys.executable, "-c", SUBMITTING, str(self.job), runner, *arguments],
            capture_output=True,
            text=True,
            timeout=120,
            env=self._environment,
        )
        print(done.stdout, done.stderr)
        assert done.returncode == 0
        return done.stdout.split()[-1]

    def files(self, below: str) -> dict[str, bytes]:
        """Content by name of all files in a folder of the dataset."""
        if self.store is None:
            root = Path(self.dataset)
            found = [path for path in (root / below).rglob("*") if path.is_file()]
            return {str(path.relative_to(root)): path.read_bytes() for path in found}
        client = self.store.client()
        return {
            key.removeprefix(self._prefix): client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            for key in self._keys(client, below)
        }

    def _keys(self, client: Any, below: str) -> list[str]:
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=f"{self._prefix}{below}/"
        )
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def committed(self) -> int:
        if self.store is None:
            return len(list(Path(self.dataset).glob("_skyhaul/commits/*/*.json")))
        return len(self._keys(self.store.client(), "_skyhaul/commits"))

    def commits(self) -> list[dict[str, Any]]:
        """The commit records."""
        return [json.loads(record) for record in self.files("_skyhaul/commits").values()]

    def digest(self) -> str:
        """Over names and bytes of all files in `data/`."""
        whole = hashlib.sha256()
        for name, data in sorted(self.files("data").items()):
            whole.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
        return whole.hexdigest()

    def is_sound(self) -> bool:
        return self.skyhaul("verify", self.dataset, "--deep").returncode == 0


NewHaul = Callable[..., Haul]
"""The fixture `new_haul`."""


def write_corpus(folder: Path, *, objects: int = 40, size: int = 32_000) -> Path:
    """Text files, the same every time."""
    folder.mkdir()
    dice = random.Random(SEED)
    for number in range(objects):
        words = (f"{dice.getrandbits(32):08x}" for _ in range(size // 9))
        (folder / f"{number:03d}.txt").write_text(" ".join(words))
    return folder


def until(ready: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def harnesses() -> list[int]:
    """Process ids of the Beam harnesses that this process's descendants are or started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if b"sdk_worker_main" in (entry / "cmdline").read_bytes() and _descends(int(entry.name)):
                    found.append(int(entry.name))
    return found


def _descends(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        stat = Path(f"/proc/{pid}/stat").read_text()
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


def is_gone(pid: int) -> bool:
    """Ended, reaped or not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def kill_harnesses() -> int:
    pids = harnesses()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def with_patched_workers(options: Sequence[str], folder: Path, patch: str) -> list[str]:
    """The options, with workers (PROCESS) that run `patch` before anything else: a worker of another
    version, or one with a bug, which no installed skyhaul has."""
    folder.mkdir()
    harness = "apache_beam.runners.worker.sdk_worker_main"
    guarded = f"import sys\nif {harness!r} in sys.orig_argv:\n" + textwrap.indent(patch, "    ")
    (folder / "sitecustomize.py").write_text(guarded)
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    config = {"command": str(BIN / "skyhaul-worker-boot"), "env": {"PYTHONPATH": path}}
    kept = [o for o in options if not o.startswith("--environment_config")]
    return [*kept, f"--environment_config={json.dumps(config)}"]


@contextlib.contextmanager
def worker_pool(children: Processes, name: str = "pool") -> Iterator[str]:
    """`skyhaul-worker-pool` on a free port; yields its address."""
    port = free_port()
    children.start(name, [str(BIN / "skyhaul-worker-pool"), f"--service_port={port}"])
    children.wait_for(name, lambda: answers(port), 30)
    yield f"{LOOPBACK}:{port}"
