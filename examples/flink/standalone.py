"""A standalone Flink on one machine: a JobManager, TaskManagers of one slot, Beam's job server; on loopback.

    python examples/flink/standalone.py [TASKMANAGERS]

serves until interrupted. Small heaps, short heartbeats, a restart strategy: without one, Flink fails
the job with the first TaskManager that is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import fetch
from processes import LOOPBACK, NotReady, Processes, Unavailable, answers, free_port, processes

JOB_MANAGER = "jobmanager"
JOB_SERVER = "job-server"
EXIT_UNAVAILABLE = 69  # sysexits.h
READY = 90.0
"""Seconds that a JVM may take on a busy machine."""

# What Flink 1.19's own config.yaml opens for Java 17.
OPENS = [
    f"--add-{verb}={module}=ALL-UNNAMED"
    for verb, modules in {
        "exports": ("java.rmi/sun.rmi.registry", *(f"jdk.compiler/com.sun.tools.javac.{p}" for p in (
            "api", "file", "parser", "tree", "util"))),
        "opens": ("java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio",
            "java.base/sun.nio.ch", "java.base/java.lang.reflect", "java.base/java.text",
            "java.base/java.time", "java.base/java.util", "java.base/java.util.concurrent",
            "java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks",
            "java.base/java.lang.invoke"),
    }.items()
    for module in modules
]  # fmt: skip

LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.out.ref = Out
appender.out.name = Out
appender.out.type = CONSOLE
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
"""


@dataclasses.dataclass
class Standalone:
    """A running cluster: its REST API at `rest`, its processes in `children` by name."""

    children: Processes
    configuration: Path
    rest_port: int
    slots: int

    @property
    def master(self) -> str:
        """What `--flink_master` takes."""
        return f"{LOOPBACK}:{self.rest_port}"

    def rest(self, path: str, method: str = "GET", deadline: float = 5.0) -> Any:
        """The JSON answer of Flink's REST API; None where it answers nothing. Raises OSError."""
        request = urllib.request.Request(f"http://{self.master}{path}", method=method)
        with urllib.request.urlopen(request, timeout=deadline) as answer:
            body = answer.read()
        return json.loads(body) if body.strip() else None

    def task_managers(self) -> int:
        """How many the JobManager knows; 0 while it does not answer."""
        try:
            return len(self.rest("/taskmanagers")["taskmanagers"])
        except (OSError, KeyError, ValueError):
            return 0

    def jobs(self) -> dict[str, str]:
        """State by job id."""
        return {job["id"]: job["status"] for job in self.rest("/jobs")["jobs"]}

    def cancel(self, job: str) -> None:
        self.rest(f"/jobs/{job}?mode=cancel", "PATCH")

    def start_job_manager(self) -> None:
        self.children.start(
            JOB_MANAGER,
            self._java(
                "jobmanager",
                "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                *("--executionMode", "cluster"),
                heap="256m",
            ),
        )
        self.children.wait_for(JOB_MANAGER, self._answers, READY)

    def start_task_manager(self, number: int) -> None:
        """One slot. Its workers inherit its environment, which is where credentials come from."""
        name = f"taskmanager-{number}"
        self.children.start(
            name,
            self._java(
                name,
                "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
                *("-D", f"taskmanager.resource-id={name}"),
                heap="256m",
            ),
        )

    def mend(self) -> None:
        """Start again what has ended, and wait until all have registered. Raises NotReady."""
        if self.children[JOB_MANAGER].poll() is not None:
            self.start_job_manager()
        for number in range(1, self.slots + 1):
            if self.children[f"taskmanager-{number}"].poll() is not None:
                self.start_task_manager(number)
        self.children.wait_for(JOB_MANAGER, lambda: self.task_managers() == self.slots, READY)

    def start_job_server(self, name: str = JOB_SERVER, port: int = 0) -> str:
        """Beam's job server apart from its clients, which it outlives; what `--job_endpoint` takes.

        Raises Unavailable, NotReady."""
        port = port or free_port()
        self.children.start(
            name,
            [
                str(fetch.java()),
                *("-Xmx256m", *self._jvm()),
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                *("-jar", str(fetch.job_server_jar())),
                f"--flink-master={self.master}",
                f"--job-host={LOOPBACK}",
                f"--job-port={port}",
                "--artifact-port=0",  # any
                "--expansion-port=0",
                f"--artifacts-dir={self.configuration / 'artifacts'}",
            ],
        )
        self.children.wait_for(name, lambda: answers(port), READY)
        return f"{LOOPBACK}:{port}"

    def _answers(self) -> bool:
        try:
            self.rest("/overview")
        except (OSError, urllib.error.HTTPError):
            return False
        return True

    def _jvm(self) -> list[str]:
        """Options of every JVM: one thread collects, and what it leaves behind goes with the cluster."""
        return [
            "-XX:+UseSerialGC",
            "-XX:-UsePerfData",
            f"-Djava.io.tmpdir={self.configuration / 'tmp'}",
        ]

    def _java(self, name: str, main: str, *arguments: str, heap: str) -> list[str]:
        log4j = self.configuration / "log4j-console.properties"
        jars = sorted((fetch.flink() / "lib").glob("*.jar"))
        # The table planner is not used, and costs a second of every start.
        jars = [jar for jar in jars if "table" not in jar.name and "scala" not in jar.name]
        return [
            str(fetch.java()),
            f"-Xmx{heap}",
            *self._jvm(),
            *OPENS,
            f"-Dlog4j.configurationFile={log4j}",
            *("-cp", os.pathsep.join(map(str, jars))),
            main,
            *("--configDir", str(self.configuration)),
            *arguments,
        ]


def _configure(folder: Path, rest_port: int, restarts: int) -> None:
    """`config.yaml` as a real cluster would have it, with everything on loopback."""
    settings: dict[str, object] = {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": free_port(),
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.execution.failover-strategy": "region",
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": rest_port,
        "blob.server.port": free_port(),
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": 1,
        # The sizes that Flink's shell scripts would work out from one number.
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.framework.heap.size": "64mb",
        "taskmanager.memory.framework.off-heap.size": "64mb",
        "taskmanager.memory.task.heap.size": "192mb",
        "taskmanager.memory.task.off-heap.size": "0mb",
        "taskmanager.memory.jvm-metaspace.size": "256mb",
        "taskmanager.memory.jvm-overhead.min": "192mb",
        "taskmanager.memory.jvm-overhead.max": "192mb",
        "taskmanager.memory.network.min": "64mb",
        "taskmanager.memory.network.max": "64mb",
        "taskmanager.memory.managed.size": "64mb",
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 10000,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": restarts,
        "restart-strategy.fixed-delay.delay": "2 s",
        "slot.request.timeout": 60000,
        "io.tmp.dirs": str(folder / "tmp"),
        "web.submit.enable": True,
        "parallelism.default": 1,
    }
    (folder / "tmp").mkdir()
    (folder / "config.yaml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
    (folder / "log4j-console.properties").write_text(LOG4J)


def start(
    children: Processes, folder: Path, task_managers: int = 2, *, restarts: int = 10, rest_port: int = 0
) -> Standalone:
    """A cluster whose TaskManagers have all registered, and which starts what fails of a job again so many
    times. Raises Unavailable, NotReady."""
    fetch.java()
    fetch.flink()
    configuration = folder / "flink"
    configuration.mkdir(parents=True)
    port = rest_port or free_port()
    _configure(configuration, port, restarts)
    cluster = Standalone(children, configuration, port, task_managers)
    cluster.start_job_manager()
    for number in range(1, task_managers + 1):
        cluster.start_task_manager(number)
    for number in range(1, task_managers + 1):
        children.wait_for(
            f"taskmanager-{number}", lambda number=number: cluster.task_managers() >= number, READY
        )
    return cluster


def main() -> int:
    """Serve until interrupted, on Flink's and Beam's usual ports where they are free."""
    task_managers = int(sys.argv[1]) if sys.argv[1:] else 2
    with (
        tempfile.TemporaryDirectory(prefix="skyhaul-flink-") as folder,
        processes(Path(folder) / "logs") as children,
        contextlib.suppress(KeyboardInterrupt),
    ):
        try:
            cluster = start(children, Path(folder), task_managers, rest_port=free_port(8081))
            endpoint = cluster.start_job_server(port=free_port(8099))
        except (Unavailable, NotReady) as reason:
            print(f"standalone: {reason}", file=sys.stderr)
            return EXIT_UNAVAILABLE
        print(f"# Flink {fetch.FLINK} at http://{cluster.master}")
        print(f"--runner PortableRunner -- --job_endpoint={endpoint} --flink_master={cluster.master}")
        print(f"# logs: {children.logs}; Ctrl-C ends the cluster", flush=True)
        children[JOB_MANAGER].wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
