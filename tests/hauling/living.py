"""A small region that lives, and the dataset that is hauled from it, in process or by the program."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pyarrow.dataset as ds
import yaml
from tests.hauling.rig import WORDS, data_digests, skyhaul

from skyhaul.beam.driver import haul_on_beam
from skyhaul.dataset.storage.opening import open_store
from skyhaul.dataset.storage.store import DatasetStore
from skyhaul.dataset.survey import Survey, survey
from skyhaul.hauling.config import HaulOptions
from skyhaul.hauling.finish.conclusion import HaulOutcome
from skyhaul.planning.amend_plan import amend_plan
from skyhaul.planning.build.difference import PlanUpdate
from skyhaul.planning.extend_plan import extend_plan
from skyhaul.planning.make_plan import make_plan
from skyhaul.planning.store.plan import Plan
from skyhaul.verification import VerifyReport, verify_dataset
from skyhaul_schemas.job.file import LoadedJob, parse_job
from skyhaul_schemas.plan import PlanHeader


class Living:
    """Texts of about 2 kB, two or three a shard. url: of the source; by default the region's files."""

    def __init__(self, folder: Path, name: str = "out", url: str | None = None, **more: object) -> None:
        self._folder = folder
        self._url = url
        self._more = more
        self.region = folder / "region"
        self.dataset = folder / name
        self.region.mkdir(exist_ok=True)
        self.job = folder / f"{name}.yaml"
        self.job.write_text(
            yaml.safe_dump(
                {
                    "version": 1,
                    "name": "living",
                    "dataset": str(self.dataset),
                    "spool": str(folder / f"spool-{name}"),
                    "seed": 3,
                    "sources": {"texts": {"url": url or f"{self.region}/*.txt", "format": "text"}},
                    "shards": {"target_size": "5kB"},
                    **more,
                }
            )
        )

    def write(self, numbers: Iterable[int], salt: str = "") -> None:
        """Texts that depend on number and salt alone, and so do their times."""
        for number in numbers:
            seed = int.from_bytes(hashlib.sha256(f"{number} {salt}".encode()).digest()[:4], "big")
            words = " ".join(random.Random(seed).choices(WORDS, k=250))
            path = self.region / f"{number}.txt"
            path.write_text(f"{salt}{words}"[:2000])
            os.utime(path, (seed, seed))

    def remove(self, number: int) -> None:
        (self.region / f"{number}.txt").unlink()

    def clear_region(self) -> None:
        """Away with what came after the first six; the others keep their times."""
        for path in self.region.iterdir():
            if int(path.stem) >= 6:
                path.unlink()

    def copy(self, name: str) -> Living:
        """The same dataset in another folder."""
        other = Living(self._folder, name, self._url, **self._more)
        shutil.copytree(self.dataset, other.dataset)
        return other

    def loaded(self) -> LoadedJob:
        return parse_job(self.job.read_text(), str(self.job), {})

    def store(self) -> DatasetStore:
        return open_store(str(self.dataset), writable=True)

    def plan(self) -> PlanHeader:
        with closing(self.store()) as store:
            return make_plan(self.loaded(), store)

    def run(self, **options: object) -> HaulOutcome:
        with closing(self.store()) as store:
            return haul_on_beam(self.loaded(), store, HaulOptions(**options))  # type: ignore[arg-type]  # its fields

    def extend(self) -> PlanUpdate:
        with closing(self.store()) as store:
            return extend_plan(self.loaded(), store)

    def amend(self) -> PlanUpdate:
        with closing(self.store()) as store:
            return amend_plan(self.loaded(), store)

    def header(self) -> PlanHeader:
        with closing(Plan.open(self.store())) as plan:
            return plan.header

    def status(self) -> Survey:
        with closing(Plan.open(self.store())) as plan:
            return survey(plan, self.store())

    def verify(self) -> VerifyReport:
        return verify_dataset(self.store(), deep=True)

    def files(self) -> dict[str, str]:
        return data_digests(self.dataset)

    def texts(self) -> set[str]:
        """Names of the objects that have rows."""
        rows = ds.dataset(self.dataset / "data").to_table(columns=["provenance"]).column("provenance")
        return {row["object"] for row in rows.to_pylist()}

    def program(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return skyhaul(command, *arguments, self.job, cwd=self._folder)
