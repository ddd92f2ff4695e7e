"""`skyhaul-worker-boot`: starts one Beam Python harness for a runner, by Beam's container contract.

A runner (Flink's PROCESS environment, `skyhaul-worker-pool`, Beam's own worker pool) calls it with
the endpoints of one harness. It asks the provision endpoint for the pipeline options and becomes
the harness: the same process id, so that whoever kills the boot command has killed the worker.

Nothing is downloaded or installed here: skyhaul and its libraries are installed on the worker
beforehand. Credentials come from the environment that this process was started in.

The contract: https://s.apache.org/beam-fn-api-container-contract.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.metadata
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from skyhaul_schemas.errors import EXIT_OK, SkyhaulError, UsageError

PROVISION_DEADLINE = 60.0
"""Seconds for the runner to answer with the pipeline options; one that does not is taken for gone. Chosen,
not measured."""

PR_SET_PDEATHSIG = 1  # linux/prctl.h

# Beam's client stages the list of its own packages with every job, for information only.
INFORMATIVE_ARTIFACTS = frozenset({"submission_environment_dependencies.txt"})


class RunnerUnreachable(SkyhaulError):
    """The runner that had this worker started does not answer at its provision endpoint."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.check:
        print(_versions())
        return EXIT_OK
    try:
        if not (arguments.id and arguments.provision_endpoint):
            raise UsageError("no --id and --provision_endpoint: a runner starts this command, see --help")
        if arguments.die_with_parent:
            _die_with_parent(arguments.die_with_parent)
        info = fetch_provision_info(arguments.provision_endpoint, arguments.id)
        for name in staged_artifacts(info):
            print(
                f"skyhaul-worker-boot: {name} was staged but is not installed: skyhaul's workers use"
                " what is installed on them",
                file=sys.stderr,
            )
        environment = harness_environment(arguments, info)
    except SkyhaulError as error:
        print(f"skyhaul-worker-boot: {error}", file=sys.stderr)
        return error.exit_code
    become_harness(environment)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skyhaul-worker-boot",
        description="Start one Beam Python harness with skyhaul installed. A runner calls this.",
        epilog="In a job: --environment_type=PROCESS"
        ' --environment_config=\'{"command": "/path/to/skyhaul-worker-boot"}\'',
    )
    parser.add_argument("--check", action="store_true", help="print the versions installed here and end")
    # Prism 2.77 puts the id in quotes that no shell takes away.
    parser.add_argument(
        "--id", default="", type=lambda text: text.strip("'"), help="the harness's id, given by the runner"
    )
    # What the provision endpoint says of the other endpoints goes before what stands here.
    parser.add_argument("--provision_endpoint", default="", metavar="HOST:PORT")
    parser.add_argument("--control_endpoint", default="", metavar="HOST:PORT")
    parser.add_argument("--logging_endpoint", default="", metavar="HOST:PORT")
    parser.add_argument("--artifact_endpoint", default="", metavar="HOST:PORT", help="not used")
    parser.add_argument("--semi_persist_dir", default="", help="not used: nothing is staged")
    parser.add_argument(
        "--die-with-parent",
        type=int,
        default=0,
        metavar="PID",
        help="be killed when the process PID that started this one ends (Linux)",
    )
    return parser


def _versions() -> str:
    """`skyhaul 0.2.0, apache-beam 2.77.0, pyarrow 25.0.1, python 3.11.2`."""
    named = [f"{name} {importlib.metadata.version(name)}" for name in ("skyhaul", "apache-beam", "pyarrow")]
    return ", ".join([*named, f"python {sys.version.split()[0]}"])


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends, also by SIGKILL; the mark survives exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the mark was set
        raise RunnerUnreachable(f"the worker pool {parent} has ended")


def fetch_provision_info(endpoint: str, worker_id: str) -> Any:
    """Beam's `ProvisionInfo` for this harness. Raises RunnerUnreachable."""
    import grpc  # type: ignore[import-untyped]  # ships no types
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

    with grpc.insecure_channel(endpoint) as channel:
        stub = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)  # type: ignore[no-untyped-call]  # Beam's stubs
        try:
            response = stub.GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=(("worker_id", worker_id),),
                timeout=PROVISION_DEADLINE,
                wait_for_ready=True,
            )
        except grpc.RpcError as error:
            raise RunnerUnreachable(
                f"no provision information for harness {worker_id!r} from {endpoint!r}:"
                f" {error.code().name}; is the runner still there?"
            ) from error
    return response.info


def staged_artifacts(info: Any) -> list[str]:
    """Names of the files that the job staged in the hope that a worker installs them."""
    from apache_beam.portability import common_urns
    from apache_beam.portability.api import beam_runner_api_pb2

    names = []
    for artifact in info.dependencies:
        name = artifact.type_urn
        if artifact.role_urn == common_urns.artifact_roles.STAGING_TO.urn:
            payload = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(artifact.role_payload)
            name = payload.staged_name
        if name not in INFORMATIVE_ARTIFACTS:
            names.append(ascii(name))
    return names


def harness_environment(arguments: argparse.Namespace, info: Any) -> Mapping[str, str]:
    """The environment that Beam's `sdk_worker_main` reads; written as Beam's own boot command does."""
    from apache_beam.portability.api import endpoints_pb2
    from google.protobuf import json_format, text_format  # type: ignore[import-untyped]  # ships no types

    def endpoint(name: str, argument: str) -> str:
        """Prism tells the endpoints in the provision information, Flink in the arguments."""
        found = (
            getattr(info, name) if info.HasField(name) else endpoints_pb2.ApiServiceDescriptor(url=argument)
        )
        if not found.url:
            raise UsageError(f"the runner names no {name.replace('_', ' ')} for harness {arguments.id!a}")
        return str(text_format.MessageToString(found))

    environment = dict(os.environ)
    environment["WORKER_ID"] = arguments.id
    environment["PYTHONUTF8"] = "1"  # file names are UTF-8 on every worker, whatever its locale
    environment["PIPELINE_OPTIONS_FILE"] = _write_options(json_format.MessageToJson(info.pipeline_options))
    environment["LOGGING_API_SERVICE_DESCRIPTOR"] = endpoint("logging_endpoint", arguments.logging_endpoint)
    environment["CONTROL_API_SERVICE_DESCRIPTOR"] = endpoint("control_endpoint", arguments.control_endpoint)
    environment["RUNNER_CAPABILITIES"] = " ".join(info.runner_capabilities)
    if info.HasField("status_endpoint"):
        environment["STATUS_API_SERVICE_DESCRIPTOR"] = text_format.MessageToString(info.status_endpoint)
    return environment


def _write_options(options: str) -> str:
    """A name under which the harness reads the pipeline options, and which ends with it.

    A file, since options can pass the 128 KiB that one environment variable may hold; without a
    name in any folder, since a harness is killed more often than it ends.
    """
    handle = tempfile.TemporaryFile()  # noqa: SIM115 - stays open across exec
    handle.write(options.encode())
    handle.flush()
    descriptor = os.dup(handle.fileno())
    os.set_inheritable(descriptor, True)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return f"/dev/fd/{descriptor}"


def become_harness(environment: Mapping[str, str]) -> NoReturn:
    os.execve(
        sys.executable,
        [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"],
        environment,
    )


if __name__ == "__main__":
    sys.exit(main())
