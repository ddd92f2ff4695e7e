"""Datasets of images and audio: `datasets` gives decoded samples, and other engines bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from certify.test_certify import certify, result
from dataset.hauled import Hauled, plan_small
from formats.seeds import flac, png, wav
from skyhaul.certify.engine_process import missing
from skyhaul.certify.engines import ENGINES
from skyhaul.dataset.card import write_card
from skyhaul.dataset.survey import survey

pytestmark = pytest.mark.timeout(300)  # as in test_certify

JOB = """\
version: 1
name: media
dataset: {dataset}
spool: {spool}
schema: SCHEMA
sources:
  files: {{url: "{region}/files/*", decode: {{captions: beside}}}}
"""
FILES = {
    "image": {"a.png": png(), "a.txt": b"a picture", "b.png": png()},
    "audio": {"a.wav": wav(), "a.txt": b"hello", "b.flac": flac()},
}


def media(folder: Path, schema: str) -> Hauled:
    files = folder / "region" / "files"
    files.mkdir(parents=True)
    for name, raw in FILES[schema].items():
        (files / name).write_bytes(raw)
    hauled = plan_small(folder, folder / "region", job=JOB.replace("SCHEMA", schema))
    hauled.haul()
    write_card(hauled.store, hauled.plan, survey(hauled.plan, hauled.store), hauled.loaded.job)
    return hauled


@pytest.mark.parametrize("schema", FILES)
def test_the_card_says_what_the_bytes_are_and_every_engine_reads_them(schema: str, tmp_path: Path) -> None:
    hauled = media(tmp_path, schema)
    header = yaml.safe_load((hauled.root / "README.md").read_text().split("---\n")[1])
    features = {one["name"]: one for one in header["dataset_info"]["features"]}
    assert features["bytes"] == {"name": "bytes", "dtype": schema}
    engines = [name for name in ENGINES if name != "pyspark" and missing(ENGINES[name]) is None]
    certificate = certify(hauled.root, *engines)
    assert {name: result(certificate, name)[0] for name in engines} == dict.fromkeys(engines, "held")
    described = json.loads((hauled.root / "croissant.json").read_text())
    kinds = {one["name"]: one.get("dataType") for one in described["recordSet"][0]["field"]}
    assert kinds["train/bytes"] == f"sc:{schema.capitalize()}Object"


@pytest.mark.parametrize("streaming", [True, False])
def test_images_come_decoded(streaming: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets: Any = pytest.importorskip("datasets")
    hauled = media(tmp_path, "image")
    loaded = datasets.load_dataset(
        str(hauled.root), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    rows = sorted(loaded, key=lambda row: row["id"])
    assert [row["caption"] for row in rows] == ["a picture", None]
    assert [(row["bytes"].width, row["bytes"].height) for row in rows] == [
        (row["width"], row["height"]) for row in rows
    ]


@pytest.mark.parametrize("streaming", [True, False])
def test_audio_is_a_feature_of_audio_with_its_bytes(streaming: bool, tmp_path: Path) -> None:
    datasets: Any = pytest.importorskip("datasets")
    hauled = media(tmp_path, "audio")
    loaded = datasets.load_dataset(
        str(hauled.root), split="train", streaming=streaming, cache_dir=str(tmp_path / "cache")
    )
    assert isinstance(loaded.features["bytes"], datasets.Audio)
    # Decoding is torchcodec's, which comes with a build of ffmpeg.
    plain = loaded.cast_column("bytes", datasets.Audio(decode=False))
    raw = sorted(plain, key=lambda row: row["id"])
    assert [row["bytes"]["bytes"] for row in raw] == [wav(), flac()]
    assert [row["duration"] for row in raw] == [1.5, 1.5]
