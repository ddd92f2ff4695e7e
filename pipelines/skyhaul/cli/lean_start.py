"""A start without what a haul has no use for: a third of the CPU of importing Arrow and Beam.

Arrow looks for pandas when it makes its first array. Beam imports its MongoDB, BigQuery and Azure parts and
pandas, each of them optional to it. All take it as normal that a package is not there; so for the moment
in which they look, it is not. Later imports of it work, Arrow's own `to_pandas` included.

Meanwhile the collector rests: what importing makes stays, and need not be looked through again and again.

For the program's own process only: in a pipeline of somebody else's, `skyhaul` must not hide what Beam has.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_BLAS = "OPENBLAS_NUM_THREADS"
# Imported under `except ImportError` in the Beam that pyproject.toml pins; tests/cli/test_lean_start.py shows
# that a haul works without, and says nothing of it.
_OPTIONAL_TO_BEAM = (
    "pandas",
    "bson",
    "pymongo",
    "apache_beam.io.gcp.bigquery",
    "azure.core",
    "azure.identity",
)


class _Hiding:
    """A finder, asked before all others, by which some modules do not exist."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        # Raised: None would only send the import on to the next finder.
        if name in self._names:
            raise ModuleNotFoundError(f"{name} is hidden while others are imported", name=name)


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Importing the modules `names` raises ModuleNotFoundError, unless they are imported already."""
    hiding = _Hiding(names)
    sys.meta_path.insert(0, hiding)
    try:
        yield
    finally:
        sys.meta_path.remove(hiding)


@contextmanager
def first(name: str) -> Iterator[None]:
    """The first import of `name`: no garbage is collected meanwhile, and what is there then never."""
    if name in sys.modules:
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        # Frozen objects are in no generation any more: the first real collection would walk them all.
        gc.freeze()
        gc.enable()


def import_arrow() -> None:
    """Import pyarrow, and have it look for pandas in vain; NumPy's OpenBLAS starts no threads."""
    with first("pyarrow"), hidden("pandas"), _one_thread_of_blas():
        import pyarrow

        pyarrow.array([0])


@contextmanager
def _one_thread_of_blas() -> Iterator[None]:
    """Its threads look for work for a tenth of a second before they sleep; nothing here has any for them."""
    if _BLAS in os.environ:
        yield
        return
    os.environ[_BLAS] = "1"
    try:
        yield
    finally:
        # OpenBLAS has read it when NumPy was loaded; a process that is started later shall not.
        del os.environ[_BLAS]


def import_beam() -> None:
    """Import Beam as it is where its optional parts are not installed."""
    log = logging.getLogger("apache_beam.io.mongodbio")
    log.disabled = True  # It would warn, on a terminal too, that MongoDB's package is not there.
    try:
        with first("apache_beam"), hidden(*_OPTIONAL_TO_BEAM):
            import apache_beam  # noqa: F401  # for its effect
    finally:
        log.disabled = False
