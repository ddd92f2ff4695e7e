"""Runners and their options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from skyhaul.beam.temporary import sweep_staging
from skyhaul.hauling.config import IN_PROCESS
from skyhaul_schemas.errors import UsageError

_SPLITTING = {"DataflowRunner", "PrismRunner"}
_REFUSED = {"DaskRunner": "it reports DONE with wrong results"}


def adapter_for(runner: str) -> Literal["lots", "splittable"]:
    """`splittable` where the runner splits an element in progress, else `lots`."""
    return "splittable" if runner in _SPLITTING else "lots"


def open_runner(name: str) -> Any:
    """The runner. `DirectRunner` is the in-process FnApiRunner at once: Beam's own DirectRunner first
    tries to download another runner and can hang behind a proxy. Raises UsageError."""
    if name in _REFUSED:
        raise UsageError(f"--runner {name}: not supported, {_REFUSED[name]}; use DirectRunner or FlinkRunner")
    if name == IN_PROCESS:
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner

        return FnApiRunner()
    from apache_beam.runners.runner import create_runner

    try:
        return sweep_staging(create_runner(name))
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(
            f"--runner {name}: Beam knows no such runner ({error}); use DirectRunner, FlinkRunner,"
            " PortableRunner, PrismRunner or DataflowRunner"
        ) from error


def options_for(runner: str, arguments: Sequence[str]) -> tuple[Any, int]:
    """Beam's options from what stands after `--`, and the parallelism they ask for (1 where they ask for
    none). Raises UsageError."""
    from skyhaul.beam.options import KeptViews

    if any(a.split("=", 1)[0] == "--runner" for a in arguments):
        raise UsageError("give --runner before the --, as an option of skyhaul")
    more = [f"--runner={runner}"]
    if runner != IN_PROCESS and not any(a.startswith("--requirements_") for a in arguments):
        more.append("--requirements_cache=skip")  # else Beam makes one in the temporary directory
    options = KeptViews([*arguments, *more])
    if runner == IN_PROCESS and not arguments:
        # Reading options back builds Beam's whole parser anew, a sixth of a second.
        return options, 1
    if runner == IN_PROCESS:
        # Other runners' services may know options that this one does not.
        unknown = options.get_all_options(retain_unknown_options=True).keys() - (
            options.get_all_options(retain_unknown_options=False).keys()
        )
        if unknown:
            named = ", ".join(f"--{name}" for name in sorted(unknown))
            raise UsageError(f"Beam knows no option {named}; see what stands after the --")
    known = options.get_all_options(drop_default=False, retain_unknown_options=False)
    if known.get("element_processing_timeout_minutes") is not None:
        raise UsageError(
            "--element_processing_timeout_minutes ends workers: a lot of shards is one element, and takes as"
            " long as its links do; leave it out (--max-duration, before the --, bounds a haul)"
        )
    if runner == "FlinkRunner" and not _asked(known, "parallelism"):
        raise UsageError("--runner FlinkRunner: say --parallelism after the --; unset it can mean 1")
    return options, _parallelism(known)


def parallelism_of(pipeline: Any) -> int:
    """The workers that a pipeline's options ask for; 1 where they ask for none."""
    return _parallelism(pipeline.options.get_all_options(retain_unknown_options=False))


def _parallelism(options: dict[str, Any]) -> int:
    return max(_asked(options, name) for name in ("max_num_workers", "num_workers", "parallelism")) or 1


def _asked(options: dict[str, Any], name: str) -> int:
    return max(0, int(options.get(name) or 0))
