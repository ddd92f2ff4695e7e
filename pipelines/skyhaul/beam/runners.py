"""Runners and their options."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from skyhaul.beam.bad_options import check_options, read_options
from skyhaul.beam.options import KeptViews
from skyhaul.beam.temporary import sweep_staging
from skyhaul.hauling.config import IN_PROCESS
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.printable import printable

_SPLITTING = {"DataflowRunner", "PrismRunner"}
"""Runners that split an element in progress. The in-process runner and Flink do not: there a lot is one."""

OFFERED = (IN_PROCESS, "FlinkRunner", "PortableRunner", "PrismRunner", "DataflowRunner")
"""What `--runner` takes: runners that tests have run hauls on, and Dataflow, to which a test submits one
(docs/flink.md, docs/dataflow.md). By these names alone, since settings go by them, too."""

_WORKERS = ("max_num_workers", "num_workers", "parallelism", "direct_num_workers")
"""Beam's options that say how many workers there may be, each of other runners."""

_REFUSED = {
    "DaskRunner": "it reports DONE with wrong results",
    "SparkRunner": "no haul was ever run on it; Beam's Spark job server can be had nowhere to try it",
}
"""Why some of Beam's other runners are not offered (docs/adr/0008, docs/flink.md)."""


def adapter_for(runner: str) -> Literal["lots", "splittable"]:
    """`splittable` where the runner splits an element in progress, else `lots`."""
    return "splittable" if runner in _SPLITTING else "lots"


def open_runner(name: str) -> Any:
    """The runner of that name. Raises UsageError.

    `DirectRunner` is the in-process FnApiRunner at once: Beam's own DirectRunner first tries to download
    another runner and can hang behind a proxy."""
    if name not in OFFERED:
        why = _REFUSED.get(name, "no haul was ever run on it")
        raise UsageError(f"--runner {printable(name)}: not supported, {why}; use one of {', '.join(OFFERED)}")
    if name == IN_PROCESS:
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()
    from apache_beam.runners.runner import create_runner

    return sweep_staging(create_runner(name))


def check_runner(name: str, arguments: Sequence[str]) -> None:
    """Raise UsageError where there is no such runner, or it cannot do with what stands after `--`."""
    options_for(name, arguments)


def options_for(name: str, arguments: Sequence[str], *, unknown: bool = False) -> tuple[Any, int]:
    """Beam's options of a runner from what stands after `--`, and the parallelism they ask for.

    That is 1 where they ask for none. With `unknown`, options that Beam does not know may be among them.
    Raises UsageError."""
    if any(a.split("=", 1)[0] == "--runner" for a in arguments):
        raise UsageError("give --runner before the --, as an option of skyhaul")
    # Before Beam: a name that is not offered is told at once.
    runner = open_runner(name)
    more = [f"--runner={name}"]
    if name != IN_PROCESS and not any(a.startswith("--requirements_") for a in arguments):
        more.append("--requirements_cache=skip")  # else Beam makes one in the temporary directory
    if name == IN_PROCESS and not arguments:
        # Reading options back builds Beam's whole parser anew, a sixth of a second.
        return KeptViews(more), 1
    options = read_options([*arguments, *more])
    check_options(name, runner, options, unknown=unknown)
    known = options.get_all_options(drop_default=False, retain_unknown_options=False)
    if name == "FlinkRunner" and not _asked(known, "parallelism"):
        raise UsageError("--runner FlinkRunner: say --parallelism after the --; unset it can mean 1")
    return options, _parallelism(known)


def parallelism_of(pipeline: Any) -> int:
    """The workers that a pipeline's options ask for; 1 where they ask for none."""
    return _parallelism(pipeline.options.get_all_options(retain_unknown_options=False))


def _parallelism(options: dict[str, Any]) -> int:
    local = options.get("direct_num_workers")
    # Of the local runner 0 means all processors.
    here = (os.cpu_count() or 1) if local == 0 else 1
    return max(here, *(_asked(options, name) for name in _WORKERS))


def _asked(options: dict[str, Any], name: str) -> int:
    return max(0, int(options.get(name) or 0))
