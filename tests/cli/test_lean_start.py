"""The program starts without the optional parts of Arrow and Beam; they stay there for who asks later."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.jobs import write_job, write_texts
from skyhaul.cli.lean_start import hidden

LEFT_OUT = ("pandas", "pymongo", "bson", "apache_beam.io.gcp.bigquery", "requests", "azure.core")


def test_a_haul_imports_nothing_that_it_has_no_use_for_and_says_nothing_of_it(tmp_path: Path) -> None:
    write_texts(tmp_path / "remote")
    job = write_job(tmp_path)
    code = (
        "import json, sys\n"
        "from skyhaul.cli.main import main\n"
        f"sys.argv = ['skyhaul', 'run', {str(job)!r}, '--quiet']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "import pyarrow\n"
        f"found = [m for m in {LEFT_OUT!r} if m in sys.modules]\n"
        "frame = pyarrow.table({'a': [1, 2]}).to_pandas()\n"
        "import pandas\n"
        "print('\\n' + json.dumps([found, 'apache_beam' in sys.modules, list(frame['a'])]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [[], True, [1, 2]]
    assert done.stderr == ""


def test_what_is_hidden_is_missing_for_that_moment_only() -> None:
    with hidden("colorsys", "sys"):
        sys.modules.pop("colorsys", None)
        with pytest.raises(ModuleNotFoundError, match="colorsys"):
            importlib.import_module("colorsys")
        assert importlib.import_module("sys") is sys, "what is there already stays"
    assert importlib.import_module("colorsys").__name__ == "colorsys"


def test_the_collector_works_after_an_import_and_passes_over_what_was_imported() -> None:
    code = (
        "import gc\n"
        "from skyhaul.cli.lean_start import import_arrow, import_beam\n"
        "import_arrow()\nassert gc.isenabled()\n"
        "import_beam()\nassert gc.isenabled()\n"
        "frozen = gc.get_freeze_count()\nassert frozen > 100_000, frozen\n"
        "import_arrow()\nimport_beam()\nassert gc.get_freeze_count() <= frozen"
    )
    subprocess.run([sys.executable, "-c", code], timeout=120, check=True)


def test_blas_gets_one_thread_and_its_variable_is_as_before() -> None:
    code = (
        "import os, sys\n"
        "from skyhaul.cli.lean_start import import_arrow\n"
        "class Noting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            print(os.environ.get('OPENBLAS_NUM_THREADS'))\n"
        "sys.meta_path.insert(0, Noting())\n"
        "import_arrow()\n"
        "print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    )
    unset = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    for env, seen in ((unset, "1\nNone\n"), ({**unset, "OPENBLAS_NUM_THREADS": "3"}, "3\n3\n")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=env, check=True
        )
        assert done.stdout == seen
