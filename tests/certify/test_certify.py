"""Others' software opens a real dataset and finds what the commit records say; what it misses is seen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset.hauled import JOB, Hauled, digests, plan_small
from skyhaul.certify import Certificate, certify_dataset, footers
from skyhaul.certify.certificate_file import keep_certificate
from skyhaul.certify.engine_process import missing
from skyhaul.certify.engines import ENGINES
from skyhaul.certify.footers import without_checksum
from skyhaul.certify.same_bytes import reencoded_differently
from skyhaul.dataset.card import write_card
from skyhaul.dataset.commits.record_files import commits
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.survey import survey
from skyhaul_schemas import layout
from skyhaul_schemas.self_digest import check_digest

pytestmark = pytest.mark.timeout(300)  # Spark alone starts in 5 s of CPU, which a busy machine stretches

BLOBS = (
    JOB.replace("sources:\n", "schema: blob\nsources:\n")
    .replace("    format: jsonl\n    fields: {{text: body, source_id: id}}\n", "    format: binary\n")
    .replace("    format: text\n", "    format: binary\n")
)


def finished(folder: Path, job: str = JOB) -> Hauled:
    hauled = plan_small(folder, job=job)
    hauled.haul()
    write_card(hauled.store, hauled.plan, survey(hauled.plan, hauled.store), hauled.loaded.job)
    hauled.store.close()
    return hauled


def certify(root: Path, *engines: str, workers: int | None = None) -> Certificate:
    store = open_store(str(root), writable=True)
    try:
        return certify_dataset(
            store,
            engines=engines,
            required=bool(engines),
            loader_workers=workers,
            engine_limit=100,
            step=print,
        )
    finally:
        store.close()


def result(certificate: Certificate, name: str) -> tuple[str, str]:
    return next((check.result, check.detail) for check in certificate.checks if check.name == name)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    return finished(tmp_path_factory.mktemp("small"))


@pytest.fixture
def copied(small: Hauled, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small.root, tmp_path / "copied"))


@pytest.fixture(scope="module")
def told(
    small: Hauled, tmp_path_factory: pytest.TempPathFactory
) -> tuple[subprocess.CompletedProcess[str], Path, Path]:
    """The command with every engine that is installed, in a home and a temporary folder of its own."""
    home, temporary = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("temporary")
    command = [str(Path(sys.executable).with_name("skyhaul")), "certify", "--json", "-q", str(small.root)]
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    done = subprocess.run(
        command, env=environment, cwd=home, capture_output=True, text=True, timeout=280, check=False
    )
    return done, home, temporary


@pytest.mark.parametrize("name", ENGINES)
def test_each_engine_agrees_with_the_commit_records(
    name: str, small: Hauled, told: tuple[subprocess.CompletedProcess[str], Path, Path]
) -> None:
    reason = missing(ENGINES[name])
    if reason is not None:
        print(f"skipped: {reason}")
        pytest.skip(reason)
    done, _, _ = told
    assert done.returncode == 0, done.stdout + done.stderr
    certificate = json.loads(done.stdout)
    reading, reference = certificate["engines"][name], certificate["engines"]["pyarrow"]
    assert {"name": name, "result": "held"}.items() <= next(
        check for check in certificate["checks"] if check["name"] == name
    ).items()
    with_rows = {split: seen.rows for split, seen in survey(small.plan, small.store).splits.items()}
    assert len(with_rows) == 2
    assert {split: found["rows"] for split, found in reading["splits"].items()} == with_rows
    for split, found in reading["splits"].items():
        assert found["body_bytes"] == reference["splits"][split]["body_bytes"] > 1000
        assert found["nulls"] == reference["splits"][split]["nulls"]
    assert reading["schema"] == reference["schema"]


def test_the_certificate_is_kept_and_nothing_else_is_left(
    small: Hauled, told: tuple[subprocess.CompletedProcess[str], Path, Path]
) -> None:
    done, home, temporary = told
    kept = json.loads((small.root / "_skyhaul" / "certificate.json").read_text())
    assert check_digest(kept)
    assert {**kept, "digest": None} == {**json.loads(done.stdout), "digest": None}
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == []
    left = sorted(path.name for path in small.root.iterdir())
    assert left == ["README.md", "_skyhaul", "croissant.json", "data"]


def test_a_certificate_of_a_plan_that_has_grown_meanwhile_is_not_kept(tmp_path: Path) -> None:
    hauled = plan_small(tmp_path)
    with closing(open_store(str(hauled.root), writable=True)) as store:
        old = Certificate(plan="0" * 64)
        keep_certificate(store, old)
        assert not store.exists(layout.CERTIFICATE)
        keep_certificate(store, Certificate(plan=hauled.plan.header.digest))
        assert store.exists(layout.CERTIFICATE)


def test_blobs_are_certified_too(tmp_path: Path) -> None:
    engines = [name for name in ("duckdb", "polars") if missing(ENGINES[name]) is None]
    certificate = certify(finished(tmp_path, BLOBS).root, *engines)
    assert certificate.exit_code() == 0, certificate.checks
    assert list(certificate.engines) == ["pyarrow", *engines]


def test_a_card_that_names_too_few_files_is_a_miss(copied: Path) -> None:
    if (reason := missing(ENGINES["datasets"])) is not None:
        pytest.skip(reason)
    card = copied / "README.md"
    card.write_text(card.read_text().replace("data/*/train-*", "data/*/train-0000000-*"))
    certificate = certify(copied, "datasets-streaming")
    outcome, detail = result(certificate, "datasets-streaming")
    assert outcome == "missed"
    assert "split train has" in detail
    assert certificate.exit_code() == 4


def test_a_flipped_bit_is_a_miss_and_takes_the_certificate_away(copied: Path) -> None:
    (copied / "_skyhaul" / "certificate.json").write_text("{}")
    victim = next(copied.glob("data/*/*.parquet"))
    data = bytearray(victim.read_bytes())
    data[len(data) // 3] ^= 1
    victim.write_bytes(data)
    command = [str(Path(sys.executable).with_name("skyhaul")), "certify", "-q", str(copied)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4
    assert "not certified" in done.stdout
    assert not (copied / "_skyhaul" / "certificate.json").exists()


def test_an_unfinished_dataset_is_incomplete(tmp_path: Path) -> None:
    hauled = plan_small(tmp_path)
    hauled.haul(hauled.shards()[:2])
    hauled.store.close()
    certificate = certify(hauled.root)
    assert certificate.exit_code() == 75
    assert not certificate.certified
    assert certificate.engines == {}


def test_too_few_files_for_the_loader_are_a_miss(small: Hauled) -> None:
    files = len(list(small.root.glob("data/*/train-*.parquet")))
    assert result(certify(small.root, workers=files - 1), "loader workers")[0] == "held"
    assert result(certify(small.root, workers=files), "loader workers")[0] == "missed"


def test_bounds_are_those_of_the_footers(small: Hauled, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(
        pq.ParquetFile(path).metadata.row_group(0).total_byte_size
        for path in small.root.glob("data/*/*.parquet")
    )
    monkeypatch.setattr(footers, "ROW_GROUP_LIMIT", largest - 1)
    monkeypatch.setattr(footers, "FILE_LIMIT", largest - 1)
    certificate = certify(small.root)
    assert result(certificate, "row groups")[0] == "missed"
    assert result(certificate, "file sizes")[0] == "missed"


@pytest.mark.parametrize("checksums", [True, False])
def test_pages_without_checksums_are_seen(checksums: bool, tmp_path: Path) -> None:
    table = pa.table({"a": ["x" * 1000] * 500, "b": range(500)})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=100, write_page_checksum=checksums)
    with (tmp_path / "t.parquet").open("rb") as file:
        found = without_checksum(file, pq.ParquetFile(file).metadata)
    assert (found is None) is checksums


def test_a_shard_that_comes_out_otherwise_is_named(small: Hauled, tmp_path: Path) -> None:
    record = next(record for record in commits(small.store) if record.files)
    header = small.plan.header
    assert reencoded_differently(small.store, header, record, tmp_path / "a") is None
    other = record.files[0].model_copy(update={"sha256": "0" * 64})
    forged = record.model_copy(update={"files": [other, *record.files[1:]]})
    assert reencoded_differently(small.store, header, forged, tmp_path / "b") == other.path
    assert digests(small.root, "data")
