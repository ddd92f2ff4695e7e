"""The example of a plug-in, installed as any package is: it hauls, is listed and passes its suite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli.program import spawn

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = ROOT / "examples" / "plugin"

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that pip has installed the built wheel into."""
    folder = tmp_path_factory.mktemp("plugin") / "site"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(folder), str(PLUGIN)],
        check=True,
        timeout=200,
    )
    return folder


def test_its_job_is_hauled_and_its_package_stands_in_the_plan(site: Path, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    done = spawn("run", "examples/plugin/job.yaml", env={"PYTHONPATH": str(site)}, cwd=tmp_path, timeout=200)
    assert done.code == 0, done.err
    (file,) = (tmp_path / "out/globins/data").rglob("*.parquet")
    rows = pq.read_table(file).to_pylist()
    assert {row["source_id"] for row in rows} == {"sp|P69905|HBA_HUMAN", "sp|P02144|MYG_HUMAN"}
    assert all(row["text"].startswith("M") and row["text"].isalpha() for row in rows)
    plan = pq.read_metadata(tmp_path / "out/globins/_skyhaul/plan/shards.parquet").metadata[b"skyhaul"]
    fingerprint = json.loads(plan)["fingerprint"]
    assert fingerprint["skyhaul.formats:fasta"] == "skyhaul-fasta 0.1.0"
    assert fingerprint["skyhaul.transforms:ungap"] == "skyhaul-fasta 0.1.0"


def test_it_is_listed_with_its_package(site: Path) -> None:
    done = spawn("formats", "--json", env={"PYTHONPATH": str(site)})
    (fasta,) = (entry for entry in json.loads(done.out) if entry["name"] == "fasta")
    assert (fasta["package"], fasta["version"], fasta["problem"]) == ("skyhaul-fasta", "0.1.0", None)
    assert fasta["suffixes"] == [".fasta", ".fa", ".fna", ".faa"]


def test_its_own_tests_pass(site: Path, tmp_path: Path) -> None:
    path = os.pathsep.join([str(site), *sys.path])
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--timeout=300",
            str(PLUGIN / "tests"),
        ],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=380,
    )
    assert done.returncode == 0, done.stdout
    assert "19 passed" in done.stdout
