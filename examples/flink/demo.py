"""The demo's plan on a cluster of this machine, beside the same plan on the local runner.

    python examples/flink/demo.py [--engine flink|prism] [--job FILE] [--parallelism N]

Starts a real S3 server for the datasets and the engine: Flink (a JobManager, TaskManagers of one slot,
a job server) or Beam's Prism as a job server of its own. Hauls the plan twice, prints both datasets'
digests and verifies the cluster's. Exits with 1 where they differ, with 69 where a part cannot be had.
All that it starts ends with it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import fetch
import object_store
import standalone
import yaml
from object_store import BUCKET, ObjectStore
from processes import LOOPBACK, NotReady, Processes, Unavailable, answers, free_port, processes
from standalone import EXIT_UNAVAILABLE

CLIENT_ENDS = 20.0
"""Seconds that an interrupted client may take."""

EXIT_DIFFERENT = 1

DEMO = Path(__file__).resolve().parent.parent / "demo.yaml"
BIN = Path(sys.executable).parent


def worker_options() -> list[str]:
    """The worker's side: one harness a slot, started by the runner with skyhaul's boot command."""
    return [
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': str(BIN / 'skyhaul-worker-boot')})}",
        "--sdk_worker_parallelism=1",
    ]


def flink_options(children: Processes, folder: Path, parallelism: int) -> list[str]:
    """Start a Flink; what comes after `skyhaul run JOB`. Raises Unavailable, NotReady."""
    fetch.job_server_jar()  # before anything is started: it takes Maven, which is missing most often
    cluster = standalone.start(children, folder, parallelism)
    endpoint = cluster.start_job_server()
    print(f"Flink {fetch.FLINK} at http://{cluster.master}, {parallelism} TaskManagers of one slot")
    return [*portable_options(endpoint, parallelism), f"--flink_master={cluster.master}"]


def portable_options(endpoint: str, parallelism: int) -> list[str]:
    """A haul by way of a job server apart, with a worker process a slot."""
    return [
        *("--runner", "PortableRunner", "--"),
        f"--job_endpoint={endpoint}",
        f"--parallelism={parallelism}",
        *worker_options(),
    ]


def start_prism(children: Processes, name: str = "prism") -> str:
    """Prism as a job server apart, which outlives its clients; its endpoint. Raises Unavailable, NotReady."""
    port = free_port()
    children.start(name, [str(fetch.go_tool("prism")), "--job_port", str(port), "--serve_http=false"])
    children.wait_for(name, lambda: answers(port), 30)
    return f"{LOOPBACK}:{port}"


def prism_options(children: Processes, folder: Path, parallelism: int) -> list[str]:
    """Start Prism; what comes after `skyhaul run JOB`. Raises Unavailable, NotReady."""
    del folder
    endpoint = start_prism(children)
    print(f"Prism {fetch.BEAM} at {endpoint}")
    return portable_options(endpoint, parallelism)


ENGINES = {"flink": flink_options, "prism": prism_options}


def job_file(folder: Path, template: Path, name: str) -> Path:
    """The same job with a dataset of its own on the S3 server, and a spool of its own."""
    job = yaml.safe_load(template.read_text())
    job |= {"dataset": f"s3://{BUCKET}/{name}", "spool": str(folder / "spool" / name)}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def skyhaul(arguments: list[str]) -> int:
    """The exit code. The client has a group of its own, so that Ctrl-C comes to it once, by way of this
    process: a second one would end it before it has cancelled the job."""
    print("$ skyhaul", " ".join(arguments), flush=True)
    with subprocess.Popen([str(BIN / "skyhaul"), *arguments], process_group=0) as client:
        try:
            return client.wait()
        except BaseException:
            client.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                client.wait(CLIENT_ENDS)
            client.kill()
            raise


def dataset_digest(store: ObjectStore, name: str) -> str:
    """One sha256 over the names and sha256 of all files in the dataset's `data/`."""
    client = store.client()
    whole = hashlib.sha256()
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{name}/data/"):
        for entry in page.get("Contents", ()):
            body = client.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"]
            digest = hashlib.sha256()
            for block in body.iter_chunks(1 << 20):
                digest.update(block)
            whole.update(f"{entry['Key'].removeprefix(name)} {digest.hexdigest()}\n".encode())
    return whole.hexdigest()


def demo(engine: str, template: Path, parallelism: int) -> int:
    with (
        tempfile.TemporaryDirectory(prefix="skyhaul-demo-") as scratch,
        processes(Path(scratch) / "logs") as children,
    ):
        folder = Path(scratch)
        temporary = folder / "tmp"
        temporary.mkdir()
        os.environ["TMPDIR"] = str(temporary)  # what a killed client or worker leaves goes with the rest
        store = object_store.start(children, folder / "s3")
        os.environ |= {"SKYHAUL_STDLIB": sysconfig.get_path("stdlib")}
        os.environ |= store.environment()  # the cluster's workers get the store's keys from theirs
        options = ENGINES[engine](children, folder, parallelism)
        seconds = {}
        for name, runner in (("local", []), (engine, options)):
            begun = time.monotonic()
            code = skyhaul(["run", str(job_file(folder, template, name)), *runner])
            seconds[name] = time.monotonic() - begun
            if code != 0:
                return code
        digests = {name: dataset_digest(store, name) for name in seconds}
        for name, digest in digests.items():
            print(f"{name:>6}: {digest}  {seconds[name]:.0f} s")
        if len(set(digests.values())) != 1:
            print("the datasets differ", file=sys.stderr)
            return EXIT_DIFFERENT
        print("the same bytes", flush=True)
        return skyhaul(["verify", f"s3://{BUCKET}/{engine}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=sorted(ENGINES), default="flink")
    parser.add_argument("--job", type=Path, default=DEMO, help="a job file; default: the demo's")
    parser.add_argument("--parallelism", type=int, default=2)
    arguments = parser.parse_args()
    try:
        return demo(arguments.engine, arguments.job, arguments.parallelism)
    except Unavailable as reason:
        other = "" if arguments.engine == "prism" else "; --engine prism shows the same on Beam's Prism"
        print(f"demo: cannot be shown here: {reason}{other}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except NotReady as reason:
        print(f"demo: {reason}", file=sys.stderr)
        return EXIT_UNAVAILABLE
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
