"""skyhaul: haul AI training data over satellite links into verified Parquet shards, on Apache Beam.

    import skyhaul

    done = skyhaul.haul("job.yaml")
    if done.complete:
        for batch in skyhaul.Dataset(done.dataset).rows(columns=["id", "text"]):
            ...

`haul`, `plan` and `verify` do what the commands of these names do, and return what those print with `--json`,
as objects. Work that is left undone and damage that was found are values: `exit_code` says so. Everything
else that can go wrong is a `SkyhaulError`, with the `exit_code` of the command line.

Nothing is imported before a name is first asked for: neither Beam nor Arrow. What is public is named in
`__all__` here and in `skyhaul.beam`, `skyhaul.plugins` and `skyhaul.testing`; everything else may move.
"""

from __future__ import annotations

# To type checkers it is true; `typing` itself takes longer to import than all of this.
TYPE_CHECKING = False

# For type checkers and editors, which do not run `__getattr__`.
if TYPE_CHECKING:
    from typing import Any

    from skyhaul.api.dataset import CommittedShard, DataFile, Dataset
    from skyhaul.api.haul import haul
    from skyhaul.api.plan import plan
    from skyhaul.api.results import (
        Hauled,
        Planned,
        PlanSummary,
        PlanUpdated,
        Verified,
    )
    from skyhaul.api.target import load_job
    from skyhaul.api.verify import verify
    from skyhaul.beam.datasets.derive import CompactShards, ReshardRows, WriteShards
    from skyhaul.beam.datasets.describe import DescribeRows
    from skyhaul.beam.datasets.read_shards import ReadShards
    from skyhaul.beam.finishing import FinishHaul
    from skyhaul.beam.summary import RequireComplete
    from skyhaul.beam.transforms import DealLots, Haul, HaulLots, HaulShards, SummarizeReceipts
    from skyhaul.shards.foreign_code.map_records import MapRecords
    from skyhaul_schemas.errors import SkyhaulError
    from skyhaul_schemas.job.file import LoadedJob

    __version__: str

_API = "skyhaul.api."

_MODULES = {
    f"{_API}dataset": ("CommittedShard", "DataFile", "Dataset"),
    f"{_API}haul": ("haul",),
    f"{_API}plan": ("plan",),
    f"{_API}results": (
        "Hauled",
        "Planned",
        "PlanSummary",
        "PlanUpdated",
        "Verified",
    ),
    f"{_API}target": ("load_job",),
    f"{_API}verify": ("verify",),
    "skyhaul.beam": (
        "CompactShards",
        "DealLots",
        "DescribeRows",
        "FinishHaul",
        "Haul",
        "HaulLots",
        "HaulShards",
        "ReadShards",
        "RequireComplete",
        "ReshardRows",
        "SummarizeReceipts",
        "WriteShards",
    ),
    "skyhaul.shards.foreign_code.map_records": ("MapRecords",),
    "skyhaul_schemas.errors": ("SkyhaulError",),
    "skyhaul_schemas.job.file": ("LoadedJob",),
}
"""Module -> what of it is public here; the imports above say the same to type checkers, and a test holds the
two together. No module of this package may have one of these names: its import would take the place."""

_PLACES = {name: module for module, names in _MODULES.items() for name in names}

# Written out and not made of the above: linters and type checkers read it without running the module.
__all__ = [
    "CommittedShard",
    "CompactShards",
    "DataFile",
    "Dataset",
    "DealLots",
    "DescribeRows",
    "FinishHaul",
    "Haul",
    "HaulLots",
    "HaulShards",
    "Hauled",
    "LoadedJob",
    "MapRecords",
    "PlanSummary",
    "PlanUpdated",
    "Planned",
    "ReadShards",
    "RequireComplete",
    "ReshardRows",
    "SkyhaulError",
    "SummarizeReceipts",
    "Verified",
    "WriteShards",
    "__version__",
    "haul",
    "load_job",
    "plan",
    "verify",
]


# PEP 562: asked only for names that are not there yet.
def __getattr__(name: str) -> Any:
    if name == "__version__":
        # Late, as all here: the reader of metadata costs more than this module.
        from importlib.metadata import version

        found: Any = version("skyhaul")
    elif name in _PLACES:
        from importlib import import_module

        found = getattr(import_module(_PLACES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept, so that the next look finds it without this function.
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
