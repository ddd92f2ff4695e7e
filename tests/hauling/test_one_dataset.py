"""One plan gives one dataset: whatever links, seeds, workers and folders carried it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.faults.hostile_http import HostileServer
from tests.hauling.rig import data_digests, job, reject_digests, skyhaul, write_job, write_region

SEED = 3


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    print(f"region seed {SEED}")
    root = tmp_path_factory.mktemp("region")
    write_region(root, SEED, jsonl_bytes=2_500_000, texts=150)
    return root


@pytest.fixture(scope="module")
def server(region: Path):  # type: ignore[no-untyped-def]
    with HostileServer(region) as running:
        yield running


@pytest.fixture(scope="module")
def plain(region: Path, server: HostileServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset over the plain network, by one worker."""
    folder = tmp_path_factory.mktemp("plain")
    return haul(folder, server, None)


def haul(folder: Path, server: HostileServer, link: dict[str, object] | None, *more: str) -> Path:
    content = job(
        folder / "out", folder / "spool", f"{server.url}lines/*.jsonl", f"{server.url}texts/*.txt", link=link
    )
    done = skyhaul("run", write_job(folder / "job.yaml", content), "--quiet", *more, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_two_workers_in_another_folder_write_the_same_files(
    plain: Path, server: HostileServer, tmp_path: Path
) -> None:
    assert len(data_digests(plain)) >= 6
    assert reject_digests(plain), "the region has broken lines, which must show as rejects"
    other = haul(tmp_path, server, None, "--workers", "3")
    assert data_digests(other) == data_digests(plain)
    assert reject_digests(other) == reject_digests(plain)


@pytest.mark.parametrize("preset", ["leo", "geo", "cellular"])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_emulated_link_changes_no_byte(
    preset: str, seed: int, plain: Path, server: HostileServer, tmp_path: Path
) -> None:
    link = {"preset": preset, "emulate": True, "seed": seed, "outages": ["0.5s+0.5s"]}
    assert data_digests(haul(tmp_path, server, link)) == data_digests(plain)


def test_verify_proves_each_of_them(plain: Path, tmp_path: Path) -> None:
    done = skyhaul("verify", plain, "--deep", cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout


def test_files_in_place_give_the_same_rows_as_over_http(plain: Path, region: Path, tmp_path: Path) -> None:
    """Another version pins the objects, so provenance differs, but every record is there."""
    import pyarrow.dataset as ds

    content = job(tmp_path / "out", tmp_path / "spool", f"{region}/lines/*.jsonl", f"{region}/texts/*.txt")
    done = skyhaul("run", write_job(tmp_path / "job.yaml", content), "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    columns = ["id", "text", "metadata"]
    ours = ds.dataset(tmp_path / "out" / "data").to_table(columns=columns).sort_by("id")
    theirs = ds.dataset(plain / "data").to_table(columns=columns).sort_by("id")
    assert ours.num_rows > 1000
    assert ours.equals(theirs)
