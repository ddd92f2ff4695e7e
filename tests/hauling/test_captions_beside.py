"""Captions that lie beside loose images, from a folder and over HTTP. Whole hauls."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import yaml
from tests.faults.hostile_http import HostileServer
from tests.hauling.rig import data_digests

from dataset.standing_of import failures
from skyhaul.beam.driver import haul_on_beam
from skyhaul.certify import certify_dataset
from skyhaul.dataset.commits.record_files import commits, read_commit
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.amend_plan import amend_plan
from skyhaul.planning.build.difference import PlanUpdate
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import verify_dataset
from skyhaul_schemas import layout
from skyhaul_schemas.errors import UsageError
from skyhaul_schemas.job.file import LoadedJob, parse_job

GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
PAIRS = 40


def image(number: int) -> bytes:
    """A GIF with a comment of its own (https://www.w3.org/Graphics/GIF/spec-gif89a.txt, 24)."""
    said = f"{number}".encode()
    return GIF[:-1] + b"\x21\xfe" + bytes([len(said)]) + said + b"\x00;"


def region() -> dict[str, bytes]:
    """Images of which each fourth has no caption."""
    objects: dict[str, bytes] = {}
    for n in range(PAIRS):
        stem = f"{'abc'[n % 3]}/{n:03d}"
        objects[f"{stem}.gif"] = image(n)
        if n % 4:
            objects[f"{stem}.txt"] = f"number {n} é\n".encode()
        if n % 5 == 0:
            objects[f"{stem}.json"] = b'{"n": %d}' % n
    return objects


def write(root: Path, objects: Mapping[str, bytes]) -> None:
    for path, raw in objects.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(raw)
        stamp = int.from_bytes(hashlib.sha256(path.encode() + raw).digest()[:4], "big")
        os.utime(place, (stamp, stamp))


class Pictures:
    """A dataset of the images at `url`, half a dozen objects a shard."""

    def __init__(
        self, folder: Path, url: str, name: str = "out", format: str = "image", top: Any = None, **more: Any
    ) -> None:
        self.dataset = folder / name
        source = {"url": f"{url}/**", "format": format, "decode": {"captions": "beside"}, **more}
        self._text = yaml.safe_dump(
            {
                "version": 1,
                "name": "pictures",
                "dataset": str(self.dataset),
                "spool": str(folder / f"spool-{name}"),
                "schema": "image",
                "sources": {"pictures": {key: value for key, value in source.items() if value}},
                "shards": {"target_size": "300B", "splits": {"train": 0.8, "validation": 0.2}},
                **(top or {}),
            }
        )

    def loaded(self) -> LoadedJob:
        return parse_job(self._text, "job.yaml", {})

    def store(self) -> DatasetStore:
        return open_store(str(self.dataset), writable=True)

    def plan(self) -> None:
        with closing(self.store()) as store:
            make_plan(self.loaded(), store)

    def run(self) -> HaulOutcome:
        self.plan()
        with closing(self.store()) as store:
            return haul_on_beam(self.loaded(), store, HaulOptions())

    def update(self, how: Callable[[LoadedJob, DatasetStore], PlanUpdate]) -> PlanUpdate:
        with closing(self.store()) as store:
            return how(self.loaded(), store)

    def captions(self) -> dict[str, str | None]:
        rows = ds.dataset(self.dataset / "data", format="parquet").to_table().to_pylist()
        found = {row["provenance"]["object"]: row["caption"] for row in rows}
        assert len(found) == len(rows)
        return found

    def rejects(self) -> list[tuple[str, str, bytes]]:
        files = sorted((self.dataset / layout.REJECTS).rglob("*.parquet"))
        rows = [row for file in files for row in pq.read_table(file).to_pylist()]
        return [(row["object"], row["reason"], row["raw"]) for row in rows]

    def sound(self) -> bool:
        report = verify_dataset(self.store(), deep=True)
        assert report.findings == []
        return report.exit_code() == 0


def expected(objects: Mapping[str, bytes]) -> dict[str, str | None]:
    texts = {path[:-4]: raw.decode().strip() for path, raw in objects.items() if path.endswith(".txt")}
    return {path: texts.get(path[:-4]) for path in objects if path.endswith(".gif")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "region"
    write(root, region())
    return root


@pytest.fixture
def served() -> Iterator[HostileServer]:
    with HostileServer(region()) as server:
        yield server


def test_from_a_folder_and_over_http_the_captions_come_with_their_images(
    tmp_path: Path, folder: Path, served: HostileServer
) -> None:
    made = {}
    for name, url in {"folder": str(folder), "http": served.url.rstrip("/")}.items():
        pictures = Pictures(tmp_path, url, name)
        assert pictures.run().exit_code == 0
        assert pictures.captions() == expected(region())
        assert pictures.rejects() == []
        assert pictures.sound()
        rows = ds.dataset(pictures.dataset / "data", format="parquet").to_table().to_pylist()
        assert {row["provenance"]["object"]: row["bytes"] for row in rows} == {
            path: raw for path, raw in region().items() if path.endswith(".gif")
        }
        made[name] = {
            row["id"]: (row["metadata"], row["caption"]) for row in rows if row["metadata"] is not None
        }
    assert made["folder"] == made["http"]
    assert len(made["http"]) == PAIRS // 5
    asked = {served_range.path.lstrip("/") for served_range in served.log if served_range.sent}
    assert set(region()) <= asked, "the side-cars cross the link as any object does"


def test_each_side_car_is_pinned_and_its_digest_stands_in_the_commit_of_its_image(
    tmp_path: Path, served: HostileServer
) -> None:
    pictures = Pictures(tmp_path, served.url.rstrip("/"))
    assert pictures.run().exit_code == 0
    shard_of: dict[str, int] = {}
    with closing(Plan.open(pictures.store())) as plan:
        assert {obj.path for obj in plan.objects() if obj.version.startswith("etag:")} == set(region())
        assert plan.header.shards > 5
        for shard in plan.shards():
            record = read_commit(pictures.store(), shard.number)
            assert record is not None
            for source in record.sources:
                shard_of[source.object] = shard.number
                assert source.sha256 == hashlib.sha256(region()[source.object]).hexdigest()
    assert shard_of.keys() == region().keys()
    for path, number in shard_of.items():
        assert number == shard_of[path.rpartition(".")[0] + ".gif"]


def test_the_same_plan_gives_the_same_bytes_whatever_carried_it(
    tmp_path: Path, served: HostileServer
) -> None:
    url = served.url.rstrip("/")
    assert Pictures(tmp_path, url, "one").run().exit_code == 0
    link = {"emulate": True, "down": "2Mbit/s", "rtt": "20ms", "loss": "2%"}
    again = Pictures(tmp_path, url, "two", top={"links": {"leo": link}}, via=["leo"], max_connections=3)
    again.plan()
    with closing(again.store()) as store:
        assert haul_on_beam(again.loaded(), store, HaulOptions(workers=3)).exit_code == 0
    first = data_digests(tmp_path / "one")
    assert len(first) > 5
    assert data_digests(tmp_path / "two") == first


def test_without_a_format_side_cars_are_told_by_their_suffix(tmp_path: Path, folder: Path) -> None:
    pictures = Pictures(tmp_path, str(folder), format="")
    assert pictures.run().exit_code == 0
    assert pictures.captions() == expected(region())


def test_side_cars_that_cannot_be_taken_are_rejects_and_add_up(tmp_path: Path, folder: Path) -> None:
    bad = {"a/000.txt": b"caf\xe9", "b/001.txt": b"x" * 40, "lone.txt": b"of nothing"}
    write(folder, bad)
    pictures = Pictures(tmp_path, str(folder), decode={"captions": "beside", "max_caption": "32B"})
    assert pictures.run().exit_code == 0
    assert pictures.captions() == {**expected(region()), "a/000.gif": None, "b/001.gif": None}
    found = {path: raw for path, _, raw in pictures.rejects()}
    assert found == bad
    assert pictures.sound()


def test_a_broken_side_car_is_a_damaged_object_or_fails_its_shard(tmp_path: Path, folder: Path) -> None:
    write(folder, {"a/000.txt.gz": gzip.compress(b"a long caption" * 9)[:-9]})
    pictures = Pictures(tmp_path, str(folder))
    assert pictures.run().exit_code == 3
    assert pictures.captions() == expected(region())
    assert [path for path, _, _ in pictures.rejects()] == ["a/000.txt.gz"]
    with closing(pictures.store()) as store:
        damaged = [s.object for record in commits(store) for s in record.sources if s.damaged]
    assert damaged == ["a/000.txt.gz"]
    strict = Pictures(tmp_path, str(folder), "strict", top={"on_damage": "fail"})
    assert strict.run().exit_code == 3
    with closing(strict.store()) as store:
        (failure,) = failures(store)
    assert "a/000.txt.gz at byte 0" in failure.reason
    assert "a/000.gif" not in strict.captions()


def test_a_side_car_that_changes_on_the_way_fails_its_shard_and_is_amended(
    tmp_path: Path, folder: Path
) -> None:
    pictures = Pictures(tmp_path, str(folder))
    pictures.plan()
    write(folder, {"b/001.txt": b"quite another one"})
    (folder / "c/002.txt").unlink()
    assert pictures.run().exit_code == 3
    update = pictures.update(amend_plan)
    assert update.counts == {"changed pinned-anew": 1, "vanished dropped": 1}
    assert pictures.run().exit_code == 0
    assert pictures.captions() == {
        **expected(region()), "b/001.gif": "quite another one", "c/002.gif": None,
    }  # fmt: skip
    assert pictures.sound()


def test_an_image_that_changes_keeps_its_caption_when_it_is_amended(tmp_path: Path, folder: Path) -> None:
    pictures = Pictures(tmp_path, str(folder))
    pictures.plan()
    write(folder, {"b/001.gif": image(77777)})
    assert pictures.update(amend_plan).counts == {"changed pinned-anew": 1}
    assert pictures.run().exit_code == 0
    assert pictures.captions() == expected(region())
    assert pictures.sound()


def test_new_pairs_extend_the_plan_and_a_late_side_car_is_left(tmp_path: Path, folder: Path) -> None:
    pictures = Pictures(tmp_path, str(folder))
    assert pictures.run().exit_code == 0
    before = data_digests(pictures.dataset)
    new = {"d/100.gif": image(100), "d/100.txt": b"a new one", "d/101.gif": image(101)}
    write(folder, {**new, "a/000.caption": b"late"})
    update = pictures.update(extend_plan)
    assert update.counts == {"new planned": 3, "new left": 1}
    assert pictures.run().exit_code == 0
    assert pictures.captions() == {**expected(region()), "d/100.gif": "a new one", "d/101.gif": None}
    assert pictures.rejects() == []
    after = data_digests(pictures.dataset)
    assert {path: after[path] for path in before} == before
    assert pictures.sound()
    assert pictures.update(extend_plan).counts == {"new left": 1}


def test_others_software_reads_the_captions(tmp_path: Path, folder: Path) -> None:
    pictures = Pictures(tmp_path, str(folder))
    assert pictures.run().exit_code == 0
    with closing(pictures.store()) as store:
        certificate = certify_dataset(
            store, engines=("duckdb",), required=False, loader_workers=None, engine_limit=100, step=print
        )
    assert {check.result for check in certificate.checks} <= {"held", "skipped"}, certificate.checks


def test_a_name_that_too_many_share_is_refused_when_it_is_planned(tmp_path: Path) -> None:
    write(tmp_path / "region", {f"frame.{n:04d}": GIF for n in range(300)})
    with pytest.raises(UsageError, match="more than 256 objects are called 'frame'"):
        Pictures(tmp_path, str(tmp_path / "region")).plan()
