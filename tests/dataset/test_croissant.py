"""The Croissant description: valid, loadable, with every file's sha256, and the same for the same dataset."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataset.hauled import JOB, Hauled, plan_small, write_region
from skyhaul.dataset import croissant
from skyhaul.dataset.card import card, write_card
from skyhaul.dataset.survey import survey
from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.digest import digested_part
from skyhaul_schemas.job.file import parse_job

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:rdflib"),
    pytest.mark.filterwarnings("ignore:.*inplace"),
]

ABOUT = """\
about:
  title: Small texts
  description: Lines and texts of a test.
  licence: CC-BY-4.0
  homepage: https://example.org/small
  creator: The makers
  published: 2026-11-22
  citation: The makers, 2026
  opt_out: https://example.org/opt-out
"""


def finished(folder: Path, region: Path, job: str = JOB + ABOUT) -> Hauled:
    hauled = plan_small(folder, region, job=job)
    hauled.haul()
    write_card(hauled.store, hauled.plan, survey(hauled.plan, hauled.store), hauled.loaded.job)
    return hauled


def description(hauled: Hauled) -> dict[str, Any]:
    loaded = json.loads((hauled.root / "croissant.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_region(tmp_path_factory.mktemp("region") / "region")


@pytest.fixture(scope="module")
def small(region: Path, tmp_path_factory: pytest.TempPathFactory) -> Hauled:
    return finished(tmp_path_factory.mktemp("small"), region)


def test_every_data_file_is_listed_with_its_digest(small: Hauled) -> None:
    listed = {
        entry["contentUrl"]: (entry["sha256"], entry["contentSize"])
        for entry in description(small)["distribution"]
        if entry["@type"] == "cr:FileObject"
    }
    there = {
        str(path.relative_to(small.root)): (
            hashlib.sha256(path.read_bytes()).hexdigest(),
            f"{path.stat().st_size} B",
        )
        for path in small.root.glob("data/*/*.parquet")
    }
    assert len(there) > 5
    assert listed == there


def test_mlcroissant_finds_no_fault_and_loads_every_row(small: Hauled) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    loaded = mlcroissant.Dataset(jsonld=small.root / "croissant.json")
    assert loaded.metadata.issues.report().strip() == ""
    for name, split in survey(small.plan, small.store).splits.items():
        rows = list(loaded.records(record_set=name))
        assert len(rows) == split.rows
        assert {len(row[f"{name}/text"]) > 0 for row in rows} >= {True}
        assert rows[0][f"{name}/provenance"][f"{name}/provenance/length"] > 0


@pytest.mark.parametrize("schema", ["reading", "image", "blob"])
def test_other_schemas_are_valid_too(schema: str, small: Hauled, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    seen = survey(small.plan, small.store)
    job = small.loaded.job.model_copy(update={"schema_": schema})
    text = "".join(croissant._pieces(small.store, small.plan, seen, job))
    (tmp_path / "croissant.json").write_text(text, encoding="utf-8")
    loaded = mlcroissant.Dataset(jsonld=tmp_path / "croissant.json")
    assert loaded.metadata.issues.report().strip() == ""


def test_equal_datasets_have_equal_descriptions_also_put_together_on_disk(
    small: Hauled, region: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = (small.root / "croissant.json").read_bytes()
    monkeypatch.setattr(croissant, "_IN_MEMORY", 100)
    other = finished(tmp_path, region)
    assert (other.root / "croissant.json").read_bytes() == first
    write_card(other.store, other.plan, survey(other.plan, other.store), other.loaded.job)
    assert (other.root / "croissant.json").read_bytes() == first
    assert list((other.root / "_skyhaul" / "set-aside").glob("*")) == []


def test_about_reaches_card_and_description_but_no_plan(small: Hauled) -> None:
    text = card(small.plan, survey(small.plan, small.store), small.loaded.job)
    assert "license: cc-by-4.0" in text
    assert "pretty_name: Small texts" in text
    assert "# Small texts\n\nLines and texts of a test.\n" in text
    assert "- Opt-out: https://example.org/opt-out\n" in text
    said = description(small)
    assert said["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert said["usageInfo"] == "https://example.org/opt-out"
    assert said["datePublished"] == "2026-11-22"
    selections = {"lines": ["*"], "texts": ["*"]}
    plain = parse_job(JOB.format(dataset="d", spool="s", region="r"), "job.yaml", {})
    assert digested_part(plain.job, selections) == digested_part(small.loaded.job, selections)


def test_a_dataset_without_a_row_is_described_too(region: Path, tmp_path: Path) -> None:
    mlcroissant = pytest.importorskip("mlcroissant")
    hauled = plan_small(tmp_path, region, job=JOB + ABOUT)
    write_card(hauled.store, hauled.plan, survey(hauled.plan, hauled.store), hauled.loaded.job)
    assert description(hauled)["recordSet"] == []
    mlcroissant.Dataset(jsonld=hauled.root / "croissant.json")
    shutil.rmtree(hauled.root)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("  published: yesterday\n", "2026-11-22"),
        ("  license: MIT\n", "licence"),
        ("  licence: My own licence!\n", "SPDX identifier"),
        ("  licence: MIT OR Apache-2.0\n", "SPDX identifier"),
        ("  licence: LicenseRef-ours\n", "SPDX identifier"),
    ],
)
def test_a_bad_key_day_or_licence_is_refused(line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_job(JOB.format(dataset="d", spool="s", region="r") + "about:\n" + line, "job.yaml", {})


@pytest.mark.parametrize("licence", ["CC-BY-4.0", "etalab-2.0", "https://x.example/terms"])
def test_a_licence_is_an_identifier_or_a_url(licence: str) -> None:
    text = JOB.format(dataset="d", spool="s", region="r") + f"about: {{licence: '{licence}'}}\n"
    assert parse_job(text, "job.yaml", {}).job.about.licence == licence


def test_what_cannot_be_seen_in_a_title_is_an_escape_in_card_and_description(tmp_path: Path) -> None:
    about = 'about:\n  title: "a\\u202Eb\\u200Bc"\n  description: "one\\u2066\\ntwo"\n'
    hauled = finished(tmp_path, write_region(tmp_path / "region"), JOB + about)
    job = hauled.loaded.job
    text = card(hauled.plan, survey(hauled.plan, hauled.store), job)
    write_card(hauled.store, hauled.plan, survey(hauled.plan, hauled.store), job)
    described = hauled.store.read_bytes(layout.CROISSANT).decode()
    for hidden in ("\u202e", "\u200b", "\u2066"):
        assert hidden not in text
        assert hidden not in described
    assert "# a\\u202eb\\u200bc" in text
    assert json.loads(described)["name"]
