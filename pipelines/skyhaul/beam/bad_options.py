"""What is wrong with the options of a runner, in one line, before anything is planned.

Beam tells some of it by ending the process, some by an error while the pipeline is built, and some, as the
state of a job that failed, only after it was sent; to try again helps with none of it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

from skyhaul.beam.options import KeptViews
from skyhaul.hauling.config import IN_PROCESS
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

_ENVIRONMENTS = ("DOCKER", "PROCESS", "EXTERNAL", "LOOPBACK")
"""Beam's names for how a worker's harness is started."""

_FILES = ("setup_file", "requirements_file", "extra_packages", "flink_job_server_jar", "prism_location")
"""Options that name a file of this machine, or a URL."""

_ALL_KNOWN = (IN_PROCESS, "DataflowRunner")
"""Runners with no options but those that Beam's Python knows; a job server may tell of more."""

_GOOGLE = ("google.auth", "google.api_core", "google.cloud.dataflow", "google.cloud.storage")


def read_options(arguments: Sequence[str]) -> KeptViews:
    """Beam's options of these arguments. Raises UsageError."""
    _check_form(arguments)
    options = KeptViews(list(arguments))
    said = io.StringIO()
    try:
        # argparse prints the names of all of Beam's options first, some hundred lines.
        with contextlib.redirect_stderr(said):
            options.get_all_options()
    except SystemExit as ended:
        if not ended.code:  # --help
            raise
        lines = said.getvalue().splitlines() or ["they are refused"]
        raise UsageError(
            f"Beam's options: {printable(lines[-1].partition('error: ')[2] or lines[-1])}"
        ) from None
    return options


def check_options(name: str, runner: Any, options: KeptViews, *, unknown: bool = False) -> None:
    """Raise UsageError for options with which no pipeline of the runner can start.

    Args:
        name: The runner's.
        runner: Beam's runner.
        options: The options, `--runner` among them.
        unknown: Options that Beam does not know may be among them.
    """
    problems = [*([] if unknown else _unknown(name, options)), *_ends_workers(options)]
    if name != IN_PROCESS:
        problems += [*_missing_files(options), *_bad_workers(name, options)]
    if name == "DataflowRunner":
        problems += _missing_libraries()
    # Last, and only where it has a chance: of Dataflow's options it asks Google about the buckets.
    if name != IN_PROCESS and not problems:
        problems += _beams_own(runner, options)
    if problems:
        raise UsageError(f"--runner {name}: {'; '.join(printable(problem) for problem in problems)}")


def check_spool(spool: str) -> None:
    """Refuse a spool whose place depends on where a worker was started. Raises UsageError."""
    if not os.path.isabs(spool):
        raise UsageError(
            f"spool: found {printable(spool)}, allowed: an absolute path, as it is a folder of the workers'"
            " own disks"
        )


def _check_form(arguments: Sequence[str]) -> None:
    takes_value = False
    for argument in arguments:
        if argument.startswith("-") and not argument.startswith("--") and not takes_value:
            raise UsageError(f"Beam's options begin with --; found {printable(argument)} after the --")
        if not argument.startswith("-") and not takes_value:
            raise UsageError(f"found {printable(argument)} after the --, which is no option of Beam's")
        takes_value = argument.startswith("--") and "=" not in argument


def _unknown(name: str, options: KeptViews) -> Iterator[str]:
    if name in _ALL_KNOWN:
        known = options.get_all_options(retain_unknown_options=False).keys()
        unknown = options.get_all_options(retain_unknown_options=True).keys() - known
        if unknown:
            named = ", ".join(f"--{option}" for option in sorted(unknown))
            yield f"Beam knows no option {named}; see what stands after the --"


def _ends_workers(options: KeptViews) -> Iterator[str]:
    if options.get_all_options().get("element_processing_timeout_minutes") is not None:
        yield (
            "--element_processing_timeout_minutes ends workers: a lot of shards is one element, and takes as"
            " long as its links do; leave it out (--max-duration, before the --, bounds a haul)"
        )


def _beams_own(runner: Any, options: KeptViews) -> Iterator[str]:
    """What Beam's validator says, which `beam.Pipeline` raises as a ValueError."""
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator

    for line in PipelineOptionsValidator(options, runner).validate():
        yield " ".join(line.split()).removesuffix(".")


def _missing_files(options: KeptViews) -> Iterator[str]:
    given = options.get_all_options()
    for option in _FILES:
        value = given.get(option) or []
        for path in [value] if isinstance(value, str) else value:
            if "://" not in path and not os.path.exists(path):
                yield f"--{option}: there is no file {path}"


def _bad_workers(name: str, options: KeptViews) -> Iterator[str]:
    """What is wrong with where the job goes and how its workers start."""
    from apache_beam.options.pipeline_options import PortableOptions

    portable = options.view_as(PortableOptions)
    if name == "PortableRunner" and not portable.job_endpoint:
        yield "say --job_endpoint=HOST:PORT, the job server's, after the --"
    if portable.job_endpoint and not _is_address(portable.job_endpoint):
        yield f"--job_endpoint: found {portable.job_endpoint}, allowed: HOST:PORT"
    kind, config = portable.environment_type, portable.environment_config
    if kind and kind not in _ENVIRONMENTS and not kind.startswith("beam:env:"):
        yield f"--environment_type: found {kind}, allowed: {', '.join(_ENVIRONMENTS)}"
    if kind == "PROCESS" and config and not _names(config, "command"):
        yield """--environment_config: of PROCESS it is JSON, such as {"command": "/path/to/boot"}"""
    if kind == "EXTERNAL" and config:
        # Beam takes the address as it is, or JSON that names it.
        json_like = config.lstrip().startswith("{")
        if not (_names(config, "url") if json_like else _is_address(config)):
            yield f"--environment_config: of EXTERNAL it is a worker pool's HOST:PORT; found {config}"


def _names(config: str, key: str) -> bool:
    try:
        found = json.loads(config)
    except ValueError:
        return False
    return isinstance(found, dict) and isinstance(found.get(key), str) and bool(found[key])


def _is_address(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    return text == "embed" or bool(host and colon and port.isascii() and port.isdigit() and int(port) < 65536)


def _missing_libraries() -> Iterator[str]:
    for module in _GOOGLE:
        try:
            found = importlib.util.find_spec(module)
        except ModuleNotFoundError:
            found = None
        if found is None:
            yield f"{module} is not installed; pip install 'skyhaul[dataflow]'"
            return
