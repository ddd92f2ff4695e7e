"""`skyhaul-worker-pool`: an EXTERNAL worker pool, one beside each TaskManager.

A runner asks it to start and stop harnesses; each is a `skyhaul-worker-boot`. Unlike Beam's
`worker_pool_main` it listens on loopback only, starts nothing but skyhaul's own boot command with
this very Python, drains what its workers print, and takes them along when it ends, also when it is
killed. The protocol is Beam's `BeamFnExternalWorkerPool`.

One pool serves one runner process: harness ids are unique per TaskManager only.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent import futures
from types import FrameType
from typing import Any

from skyhaul_schemas.errors import EXIT_OK, SkyhaulError, UsageError

LOOPBACK = "127.0.0.1"
"""The only address that is listened on: whoever reaches the port has processes started."""

STOP_DEADLINE = 10.0
"""Seconds that a harness has to end after SIGTERM before it is killed: as long as an interrupted haul may
take to end. Chosen, not measured."""


@dataclasses.dataclass(frozen=True)
class Harness:
    """What a runner tells of one harness that it wants."""

    id: str
    control: str
    logging: str
    artifact: str
    provision: str

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "skyhaul.worker.boot",
            f"--id={self.id}",
            f"--control_endpoint={self.control}",
            f"--logging_endpoint={self.logging}",
            f"--artifact_endpoint={self.artifact}",
            f"--provision_endpoint={self.provision}",
            f"--die-with-parent={os.getpid()}",
        ]


class WorkerPool:
    """Harnesses by id.

    `start` and `stop` may be called from any thread; `serve` owns the processes.

    The kernel ends a harness with the *thread* that started it (PR_SET_PDEATHSIG), so all are started by the
    one thread that lives as long as the pool."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[tuple[Harness, futures.Future[None]] | None] = queue.SimpleQueue()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def start(self, harness: Harness) -> None:
        """Raises UsageError where the id already runs, OSError where the process cannot start."""
        # Called on one of gRPC's threads, which may end: see the class.
        done: futures.Future[None] = futures.Future()
        self._wanted.put((harness, done))
        done.result(timeout=STOP_DEADLINE)

    def stop(self, harness_id: str) -> None:
        with self._lock:
            process = self._processes.pop(harness_id, None)
        if process is not None:
            _end(process)

    def running(self) -> dict[str, int]:
        """Process id by harness id."""
        with self._lock:
            return {key: p.pid for key, p in self._processes.items() if p.poll() is None}

    def serve(self) -> None:
        """Start harnesses as they are asked for, until `close`; then end them all."""
        try:
            while (wanted := self._wanted.get()) is not None:
                harness, done = wanted
                try:
                    self._spawn(harness)
                except (OSError, SkyhaulError) as error:
                    done.set_exception(error)
                else:
                    done.set_result(None)
        finally:
            with self._lock:
                ending = list(self._processes.values())
                self._processes.clear()
            for process in ending:
                process.terminate()
            # All are told before the first is waited for: they end side by side.
            for process in ending:
                _end(process)

    def close(self) -> None:
        """Let `serve` return. Safe in a signal handler."""
        self._wanted.put(None)

    def _spawn(self, harness: Harness) -> None:
        with self._lock:
            # A harness that died by itself is asked for again under its id; `poll` also reaps it.
            for key in [key for key, p in self._processes.items() if p.poll() is not None]:
                del self._processes[key]
            if harness.id in self._processes:
                raise UsageError(
                    f"harness {harness.id!a} already runs here: two TaskManagers cannot share one pool"
                )
            # stderr is inherited: a pipe that nobody reads would block a worker that talks a lot.
            self._processes[harness.id] = subprocess.Popen(
                harness.command(), stdin=subprocess.DEVNULL, stdout=sys.stderr
            )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_server(pool: WorkerPool, port: int) -> tuple[Any, int]:
    """A running gRPC server of Beam's pool protocol on loopback, and its port. Raises UsageError."""
    import grpc  # type: ignore[import-untyped]  # ships no types
    from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

    class Servicer(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
        def StartWorker(self, request: Any, context: Any) -> Any:
            try:
                pool.start(
                    Harness(
                        id=request.worker_id,
                        control=request.control_endpoint.url,
                        logging=request.logging_endpoint.url,
                        artifact=request.artifact_endpoint.url,
                        provision=request.provision_endpoint.url,
                    )
                )
            except (OSError, SkyhaulError, TimeoutError) as error:
                return beam_fn_api_pb2.StartWorkerResponse(error=f"skyhaul-worker-pool: {error}")
            return beam_fn_api_pb2.StartWorkerResponse()

        def StopWorker(self, request: Any, context: Any) -> Any:
            pool.stop(request.worker_id)
            return beam_fn_api_pb2.StopWorkerResponse()

    server = grpc.server(futures.ThreadPoolExecutor(8))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(  # type: ignore[no-untyped-call]  # Beam's stubs
        Servicer(), server
    )
    try:
        bound = server.add_insecure_port(f"{LOOPBACK}:{port}")
    except RuntimeError as error:
        raise UsageError(f"cannot listen on {LOOPBACK}:{port}; is another pool there?") from error
    server.start()
    return server, bound


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="skyhaul-worker-pool",
        description="Start Beam harnesses with skyhaul installed when a runner on this machine asks.",
        epilog="In a job: --environment_type=EXTERNAL --environment_config=127.0.0.1:PORT",
    )
    parser.add_argument("--service_port", type=int, default=50000, metavar="PORT", help="0: any free one")
    arguments = parser.parse_args(argv)

    pool = WorkerPool()
    stopped_by: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopped_by.append(signal.SIGTERM if number == signal.SIGHUP else number)
        pool.close()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, stop)
    try:
        server, port = start_server(pool, arguments.service_port)
    except SkyhaulError as error:
        print(f"skyhaul-worker-pool: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{LOOPBACK}:{port}", flush=True)
    pool.serve()
    server.stop(0)
    return 128 + stopped_by[0] if stopped_by else EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
