"""What is public: names that go, come or change places show here, and are then meant."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import typing
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import skyhaul
import skyhaul.beam
import skyhaul.plugins
import skyhaul.testing

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = Path(__file__).with_name("public_names.txt")
PACKAGES = ("skyhaul", "skyhaul.beam", "skyhaul.plugins", "skyhaul.testing")


def public() -> list[str]:
    found = []
    for package in PACKAGES:
        module = importlib.import_module(package)
        found += [f"{package}.{name}" for name in module.__all__]
    for name in skyhaul.testing.__all__:
        module = importlib.import_module(f"skyhaul.testing.{name}")
        found += [f"{module.__name__}.{inner}" for inner in module.__all__]
    return sorted(found)


def test_the_public_names_are_those_that_were_agreed_on() -> None:
    # A new name: add it to the file, to docs/api.md and to the changelog, which tells of those that go, too.
    assert public() == sorted(GOLDEN.read_text().split())


@pytest.mark.parametrize("package", PACKAGES)
def test_each_public_name_is_there_and_is_listed(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        found = (
            getattr(module, name)
            if package != "skyhaul.testing"
            else importlib.import_module(f"{package}.{name}")
        )
        assert found is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        module.nothing  # noqa: B018  # asked for


def test_what_is_imported_late_is_what_type_checkers_are_told() -> None:
    assert sorted({*skyhaul._PLACES, "__version__"}) == sorted(skyhaul.__all__) == dir(skyhaul)
    told = inspect.getsource(skyhaul).partition("if TYPE_CHECKING:")[2].partition("_API =")[0]
    assert {name for name in skyhaul.__all__ if name not in told} == set()


def test_all_transforms_for_beam_are_here_too_and_nothing_else_of_it() -> None:
    kinds = (beam.PTransform, PipelineOptions)
    found = {name: getattr(skyhaul.beam, name) for name in skyhaul.beam.__all__}
    transforms = {name: it for name, it in found.items() if isinstance(it, type) and issubclass(it, kinds)}
    assert set(skyhaul._MODULES["skyhaul.beam"]) == set(transforms)
    for name, transform in transforms.items():
        assert getattr(skyhaul, name) is transform


def test_no_module_takes_the_place_of_a_public_name() -> None:
    for package in ("skyhaul", "skyhaul.beam"):
        module = importlib.import_module(package)
        modules = {found.name for found in pkgutil.iter_modules(module.__path__)}
        assert modules & set(module.__all__) == set()


def test_every_public_name_is_on_the_api_page() -> None:
    page = (ROOT / "docs" / "api.md").read_text()
    assert [name for name in skyhaul.__all__ if name not in page] == []


def test_calls_and_results_have_types_for_all_they_take_and_give() -> None:
    for call in (skyhaul.haul, skyhaul.plan, skyhaul.verify, skyhaul.load_job):
        hints = typing.get_type_hints(call)
        assert set(inspect.signature(call).parameters) | {"return"} == set(hints)


IMPORT = """
import sys, time
begun = time.perf_counter()
import skyhaul
spent = time.perf_counter() - begun
heavy = [name for name in ("apache_beam", "pyarrow", "pydantic", "numpy", "click") if name in sys.modules]
print(spent, *heavy)
"""


def test_to_import_it_takes_no_time_and_imports_nothing_heavy() -> None:
    spent = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True)
        seconds, *heavy = done.stdout.split()
        assert heavy == []
        spent.append(float(seconds))
    # The best of them: others use the machine too.
    assert min(spent) < 0.03
